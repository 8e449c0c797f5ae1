// A tab with a chat that resumes: `useChat` in React, mounted with the messages that its page was loaded with, over
// connections that are cut when the tab is closed.
const clone = (value) => JSON.parse(JSON.stringify(value ?? null));
const LIMIT = 60_000;
let tabs = 0;

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
      setTimeout(() => this.#waiting.has(waiting) && reject(new Error(`no ${what} in ${this.place.chatId}`)), LIMIT).unref();
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
    let count = messages.length;
    const options = {
      id: chatId,
      messages,
      resume: resumes && !isOwn,
      transport: new ai.DefaultChatTransport({ api: `${this.origin}/api/chat`, fetch: this.#fetch, body, headers }),
      generateId: () => `client-${++count}`,
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
    let count = initialMessages.length;
    const options = {
      api: `${this.origin}/api/chat`,
      id: chatId,
      initialMessages,
      fetch: this.#fetch,
      body,
      headers,
      maxSteps: goesOn ? 5 : undefined,
      generateId: () => `client-${++count}`,
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
    try {
      const response = await fetch(String(input).replace(this.origin, this.place.url), { ...init, signal });
      this.statuses.push(response.status);
      if (!response.body) this.#countOpen(-1);
      return response.body ? new Response(this.#counted(response), response) : response;
    } catch (error) {
      this.#countOpen(-1);
      throw error;
    }
  };

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

function isComplete(ai, now) {
  const { lastAssistantMessageIsCompleteWithToolCalls, lastAssistantMessageIsCompleteWithApprovalResponses } = ai;
  return Boolean(
    lastAssistantMessageIsCompleteWithToolCalls(now) || lastAssistantMessageIsCompleteWithApprovalResponses?.(now),
  );
}
