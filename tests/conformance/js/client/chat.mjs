// Holds a conversation with a chat of AI SDK 5, 6 or 7, through the SDK's own transport; or with `useChat` in React.
import { waitIdle, waitUntil } from '../lib/wait.mjs';

const clone = (value) => JSON.parse(JSON.stringify(value ?? null));
const SETTLE = 5;
const SETTLE_WHERE_IT_GOES_ON = 25;

/**
 * @param client the SDK's parts: `ai`, a class `Chat`, and for React `useChat` and `renderHook`
 * @returns what the client shows in the end, and what it told the application meanwhile
 */
export async function holdChat({ url, scenario, recording, client }) {
  const { ai, Chat, useChat, renderHook } = client;
  const place = { url };
  const chunks = [];
  const events = [];
  const chat = new Chat({
    id: `chat-${scenario.name}`,
    messages: [],
    generateId: countingIds(),
    transport: await makeTransport({ url, place, scenario, recording, ai, chunks }),
    sendAutomaticallyWhen: scenario.goesOn ? goesOn(ai) : undefined,
    ...tellingCallbacks(events),
  });
  const hook = scenario.react ? renderHook(() => useChat({ chat })) : null;
  const shown = () => hook?.current ?? chat;
  const settle = scenario.goesOn ? SETTLE_WHERE_IT_GOES_ON : SETTLE;
  for (const step of scenario.flow) {
    await STEPS[step.kind]({ chat, step, place, chunks, events });
    await waitIdle(() => ['submitted', 'streaming'].includes(shown().status), settle);
  }
  const { status, error, messages } = shown();
  hook?.unmount();
  return { status, error: error?.message ?? null, messages: clone(messages), events };
}

function countingIds() {
  let count = 0;
  return () => `client-${++count}`;
}

/** The SDK's transport, with the chunks noted that it hands to the chat. */
async function makeTransport({ url, place, scenario, recording, ai, chunks }) {
  const noting = () =>
    new TransformStream({
      transform(chunk, controller) {
        chunks.push(chunk);
        controller.enqueue(chunk);
      },
    });
  const body = { model: scenario.model, ...scenario.body };
  if (scenario.socket) return makeSocketTransport({ url, body, ai, noting });
  const Transport = scenario.route === 'text' ? ai.TextStreamChatTransport : ai.DefaultChatTransport;
  class NotingTransport extends Transport {
    processResponseStream(stream) {
      return super.processResponseStream(stream).pipeThrough(noting());
    }
  }
  const fetch = (input, init) => recording.fetch(String(input).replace(url, place.url), init);
  return new NotingTransport({ api: `${url}/api/${scenario.route}`, fetch, body });
}

async function makeSocketTransport({ url, body, ai, noting }) {
  const { WebSocket } = await import('ws');
  class NotingTransport extends ai.WebSocketChatTransport {
    async sendMessages(options) {
      return (await super.sendMessages(options)).pipeThrough(noting());
    }
  }
  return new NotingTransport({ url: `${url}/api/chat/ws`, webSocket: WebSocket, body });
}

function goesOn(ai) {
  return (options) =>
    ai.lastAssistantMessageIsCompleteWithToolCalls(options) ||
    Boolean(ai.lastAssistantMessageIsCompleteWithApprovalResponses?.(options));
}

function tellingCallbacks(events) {
  return {
    onError: (error) => events.push({ onError: error.message }),
    onData: (part) => events.push({ onData: clone(part) }),
    onToolCall: ({ toolCall }) => void events.push({ onToolCall: clone(toolCall) }),
    onFinish: ({ message, messages, ...rest }) => events.push({ onFinish: { id: message?.id, ...clone(rest) } }),
  };
}

const STEPS = {
  /** Another backend answers from here on. */
  move({ step, place }) {
    place.url = step.url;
  },

  async send({ chat, step, chunks }) {
    const { text, files, stopAfter } = step;
    const before = chunks.length;
    const sent = chat.sendMessage(files ? { text, files } : { text });
    if (stopAfter) {
      const deltas = () => chunks.slice(before).filter((chunk) => chunk.type === 'text-delta');
      const textSoFar = () => deltas().map((chunk) => chunk.delta).join('');
      await waitUntil(() => textSoFar().endsWith(stopAfter), `the text ${stopAfter}`);
      await chat.stop();
    }
    await sent;
  },

  regenerate: ({ chat }) => chat.regenerate(),

  async toolOutput({ chat, step: { kind, ...output } }) {
    const add = chat.addToolOutput ?? chat.addToolResult;
    await add.call(chat, output);
  },

  async approve({ chat, step, events }) {
    const parts = chat.messages.at(-1).parts.filter((part) => part.state === 'approval-requested');
    events.push({ approvalsAsked: parts.length });
    for (const [index, { approval }] of parts.entries()) {
      await chat.addToolApprovalResponse({ id: approval.id, approved: step.answers[index], reason: step.reason });
    }
  },
};
