// A fetch that keeps what went over the wire, byte for byte, beside what the client makes of it.
const parseOrKeep = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};

export class Recording {
  exchanges = [];
  #reading = [];

  constructor(headers = {}) {
    this.headers = headers;
  }

  fetch = async (input, init = {}) => {
    const url = new URL(String(input));
    const headers = { ...Object.fromEntries(new Headers(init.headers)), ...this.headers };
    const exchange = {
      method: init.method ?? 'GET',
      path: url.pathname + url.search,
      requestHeaders: headers,
      body: typeof init.body === 'string' ? parseOrKeep(init.body) : null,
      status: null,
      headers: {},
      answer: '',
      ended: 'never',
    };
    this.exchanges.push(exchange);
    const response = await fetch(url, { ...init, headers });
    exchange.status = response.status;
    exchange.headers = Object.fromEntries(response.headers);
    if (!response.body) {
      exchange.ended = 'no body';
      return response;
    }
    const [forClient, forRecord] = response.body.tee();
    this.#reading.push(this.#read(exchange, forRecord));
    return new Response(forClient, response);
  };

  async #read(exchange, body) {
    const pieces = [];
    try {
      for await (const piece of body) pieces.push(piece);
      exchange.ended = 'end';
    } catch (error) {
      exchange.ended = error.name === 'AbortError' ? 'left by the client' : 'broken off';
    }
    exchange.answer = Buffer.concat(pieces).toString('base64');
  }

  /** All exchanges, once their bodies have been read; bodies of answers in base64. */
  async finished() {
    await Promise.all(this.#reading);
    return this.exchanges;
  }
}
