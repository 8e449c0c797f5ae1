// A tab with a chat that resumes: `useChat` in React, mounted with the messages that its page was loaded with, over
// connections that are cut when the tab is closed.
const clone = (value) => JSON.parse(JSON.stringify(value ?? null));
const LIMIT = 60_000;
const LOST = 'the connection is lost';
let tabs = 0;

/** What networks do to a post. Each makes the request, if it does, by `send`. */
const FAULTS = {
  'never sent': () => Promise.reject(new TypeError(LOST)),

  async lost(send) {
    const response = await send();
    await response.body?.cancel();
    throw new TypeError(LOST);
  },

  /** As a proxy or the client's own `fetch` does it that tries once more. */
  async 'lost, sent again'(send, tell) {
    const response = await send();
    await response.body?.cancel();
    tell();
    return send();
  },

  /** Cut in mid-answer, after some chunks. */
  async cut(send) {
    const response = await send();
    let left = 4;
    const cut = new TransformStream({
      transform(chunk, controller) {
        controller.enqueue(chunk);
        if (--left === 0) controller.error(new TypeError(LOST));
      },
    });
    return response.ok && response.body ? new Response(response.body.pipeThrough(cut), response) : response;
  },
};

/** When a page asks for its chat's stream, by what it was loaded with. */
const RESUMES = {
  always: () => true,
  // `resume={activeStreamId !== null}`
  'when it is answering': ({ isAnswering }) => isAnswering,
  // `useAutoResume`
  'after a question': ({ messages }) => messages.at(-1)?.role === 'user',
};

export class Tab {
  #gone = new AbortController();
  #waiting = new Set();
  #open = 0;
  #limit = Infinity;
  /** How many chunks it was given. */
  chunks = 0;
  /** How many requests it has made. */
  requests = 0;
  /** What the server answered to each. */
  statuses = [];
  /** What `onError` was told. */
  errors = [];
  /** What it has posted, and what the server said to what it refused. */
  posts = [];
  refusals = [];
  /** What becomes of its next post: see `FAULTS`. */
  fault = undefined;

  /**
   * @param client what `loadClient` gives
   * @param place the server's `url`, the `chatId`, `body` and `headers` of its requests, whether React is `strict`,
   *   whether the chat `goesOn` by itself after tool outputs, and when the page `resumes`, one of `RESUMES`
   */
  constructor(client, place) {
    this.client = client;
    this.place = place;
    // The hooks of AI SDK 4 share a cache that goes by this address.
    this.origin = `http://tab-${++tabs}`;
  }

  /** Mount the hook with a chat as it was loaded, and wait until it has asked for the chat's stream, if it does. */
  async open(loaded) {
    const resumes = RESUMES[this.place.resumes ?? 'always'](loaded);
    const use = this.client.major === 4 ? this.#useChatV4(loaded, resumes) : this.#useChat(loaded, resumes);
    const useAndLook = () => {
      queueMicrotask(() => this.#look());
      return use();
    };
    const mount = () => {
      this.hook = this.client.renderHook(useAndLook, { strict: this.place.strict });
    };
    if (resumes) await this.ask(mount);
    else mount();
    return this;
  }

  /** What a reload does, too: the hook is gone, and so are its connections. */
  close() {
    this.hook.unmount();
    this.#gone.abort();
  }

  get messages() {
    return clone(this.hook.current.messages);
  }

  get isIdle() {
    return this.#open === 0 && !['submitted', 'streaming'].includes(this.hook.current.status);
  }

  async idle() {
    await this.#until(() => this.isIdle, 'the end of the answer');
  }

  /** Wait until so many more chunks have come; false when the answer has ended before. */
  async reach(count) {
    const wanted = this.chunks + count;
    await this.#until(() => this.chunks >= wanted || this.isIdle, `chunk ${count}`);
    return this.chunks >= wanted;
  }

  /** The same, and let no further one through. */
  cutAt(count) {
    this.#limit = this.chunks + count;
    return this.reach(count);
  }

  /** Do something that makes the hook ask the server, and wait until it has. */
  async ask(act) {
    const before = this.requests;
    act(this.hook?.current);
    await this.#until(() => this.requests > before, 'a request');
  }

  /** Wait until `isTrue()`, which is looked at whenever something has happened. */
  async #until(isTrue, what) {
    if (isTrue()) return;
    await new Promise((resolve, reject) => {
      const waiting = { isTrue, resolve };
      this.#waiting.add(waiting);
      setTimeout(() => this.#waiting.has(waiting) && reject(new Error(`no ${what} in ${this.place.chatId}: ${this.#open} open, ${this.hook.current.status}`)), LIMIT).unref();
    });
  }

  #look() {
    for (const waiting of this.#waiting) {
      if (!waiting.isTrue()) continue;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
  }

  #countOpen(change) {
    this.#open += change;
    this.requests += Math.max(change, 0);
    this.#look();
  }

  #useChat({ messages }, resumes) {
    const { ai, useChat, useEffect } = this.client;
    // As the application's own effect, or the hook's.
    const isOwn = this.place.resumes === 'after a question';
    const { chatId, body, headers, goesOn } = this.place;
    const options = {
      id: chatId,
      messages,
      resume: resumes && !isOwn,
      transport: new ai.DefaultChatTransport({ api: `${this.origin}/api/chat`, fetch: this.#fetch, body, headers }),
      generateId: () => crypto.randomUUID(),
      onError: (error) => this.errors.push(error.message),
      sendAutomaticallyWhen: goesOn ? (now) => isComplete(ai, now) : undefined,
    };
    return () => {
      const chat = useChat(options);
      useEffect(() => {
        if (resumes && isOwn) chat.resumeStream();
      }, []);
      return chat;
    };
  }

  #useChatV4({ messages: initialMessages }, resumes) {
    const { useChat, useEffect } = this.client;
    const { chatId, body, headers, goesOn } = this.place;
    const options = {
      api: `${this.origin}/api/chat`,
      id: chatId,
      initialMessages,
      fetch: this.#fetch,
      body,
      headers,
      maxSteps: goesOn ? 5 : undefined,
      generateId: () => crypto.randomUUID(),
      onError: (error) => this.errors.push(error.message),
    };
    return () => {
      const chat = useChat(options);
      useEffect(() => {
        if (resumes) chat.experimental_resume();
      }, []);
      return chat;
    };
  }

  #fetch = async (input, init = {}) => {
    this.#countOpen(1);
    const signal = init.signal ? AbortSignal.any([init.signal, this.#gone.signal]) : this.#gone.signal;
    const send = () => this.#send(String(input).replace(this.origin, this.place.url), { ...init, signal });
    try {
      const response = await (init.method === 'POST' ? this.#post(send, init) : send());
      if (!response.body) this.#countOpen(-1);
      return response.body ? new Response(this.#counted(response), response) : response;
    } catch (error) {
      this.#countOpen(-1);
      throw error;
    }
  };

  async #send(url, init) {
    const response = await fetch(url, init);
    this.statuses.push(response.status);
    if (!response.ok) this.refusals.push({ status: response.status, body: await response.clone().text() });
    return response;
  }

  #post(send, { body, headers }) {
    this.last = { body, headers };
    const tell = (isRepeated) => this.posts.push({ body: JSON.parse(body), isRepeated });
    tell(false);
    const fault = FAULTS[this.fault];
    this.fault = undefined;
    return fault ? fault(send, () => tell(true)) : send();
  }

  /** Send the last post once more, as it was, and read what comes. */
  async repeat() {
    const { body, headers } = this.last;
    this.posts.push({ body: JSON.parse(body), isRepeated: true });
    const init = { method: 'POST', body, headers, signal: AbortSignal.any([this.#gone.signal, AbortSignal.timeout(LIMIT)]) };
    await (await this.#send(`${this.place.url}/api/chat`, init)).text();
  }

  /** The body chunk by chunk, as far as the tab is to get it. */
  #counted(response) {
    const end = response.headers.get('content-type').startsWith('text/event-stream') ? '\n\n' : '\n';
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const encoder = new TextEncoder();
    const over = () => this.#countOpen(-1);
    let unread = '';
    const pull = async (controller) => {
      while (!unread.includes(end)) {
        const { value, done } = await reader.read();
        if (done) {
          over();
          return controller.close();
        }
        unread += value;
      }
      if (this.chunks === this.#limit) return new Promise(() => {});
      const length = unread.indexOf(end) + end.length;
      this.chunks += 1;
      controller.enqueue(encoder.encode(unread.slice(0, length)));
      unread = unread.slice(length);
      this.#look();
    };
    const cancel = (reason) => {
      over();
      return reader.cancel(reason);
    };
    return new ReadableStream({
      pull: (controller) =>
        pull(controller).catch((error) => {
          over();
          throw error;
        }),
      cancel,
    });
  }
}

/** The chat that a page is loaded with. */
export async function load({ url, chatId, headers }, major) {
  const response = await fetch(`${url}/api/chats/${chatId}`, { headers });
  const { messages, isAnswering } = response.ok ? await response.json() : { messages: [], isAnswering: false };
  return { messages: major === 4 ? messages.map(toV4) : messages, isAnswering };
}

/** Stored messages have no `content`: the text of one, as a page of AI SDK 4 shows it. */
function toV4({ id, role, parts }) {
  const texts = parts.filter(({ type }) => type === 'text');
  const content = texts.map(({ text }) => text).join('');
  return { id, role, content, parts: texts.map(({ text }) => ({ type: 'text', text })) };
}

function isComplete(ai, now) {
  const { lastAssistantMessageIsCompleteWithToolCalls, lastAssistantMessageIsCompleteWithApprovalResponses } = ai;
  return Boolean(
    lastAssistantMessageIsCompleteWithToolCalls(now) || lastAssistantMessageIsCompleteWithApprovalResponses?.(now),
  );
}
