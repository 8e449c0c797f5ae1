// Holds a conversation with the `useChat` of AI SDK 4, the only client it has.
import { waitIdle, waitUntil } from '../lib/wait.mjs';

const clone = (value) => JSON.parse(JSON.stringify(value ?? null));
const SETTLE = 15;
const SETTLE_WHERE_IT_GOES_ON = 40;
let chats = 0;

export async function holdChat({ url, scenario, recording, client }) {
  const { useChat, renderHook } = client;
  const place = { url };
  const events = [];
  let count = 0;
  const number = ++chats;
  const hook = renderHook(() =>
    useChat({
      api: `${url}/api/${scenario.route}`,
      // A cache that all hooks share goes by this id.
      id: `chat-${scenario.name}-${number}`,
      generateId: () => `client-${++count}`,
      fetch: (input, init) => recording.fetch(String(input).replace(url, place.url), init),
      body: { model: scenario.model, ...scenario.body },
      streamProtocol: scenario.route === 'text' ? 'text' : 'data',
      maxSteps: scenario.goesOn ? 5 : undefined,
      onFinish: (message, rest) => events.push({ onFinish: { id: message.id, ...clone(rest) } }),
      onError: (error) => events.push({ onError: error.message }),
      onToolCall: ({ toolCall }) => void events.push({ onToolCall: clone(toolCall) }),
    }),
  );
  const settle = scenario.goesOn ? SETTLE_WHERE_IT_GOES_ON : SETTLE;
  for (const step of scenario.flow) {
    await STEPS[step.kind](hook, step, place);
    await waitIdle(() => hook.current.isLoading, settle);
  }
  const { status, error, messages, data } = hook.current;
  hook.unmount();
  return { status, error: error?.message ?? null, messages: messages.map(withoutRevision), data: clone(data), events };
}

// The hook counts a message's changes, so how the answer was cut into pieces shows in it.
function withoutRevision(message) {
  const { revisionId, ...rest } = clone(message);
  return rest;
}

const STEPS = {
  /** Another backend answers from here on. */
  move(hook, step, place) {
    place.url = step.url;
  },

  async send(hook, { text, files = [], stopAfter }) {
    const attachments = files.map(({ filename, mediaType, url }) => ({ name: filename, contentType: mediaType, url }));
    const options = attachments.length > 0 ? { experimental_attachments: attachments } : {};
    const before = hook.current.messages.length;
    const sent = hook.current.append({ role: 'user', content: text }, options);
    if (stopAfter) {
      const answer = () => hook.current.messages[before + 1]?.content ?? '';
      await waitUntil(() => answer().endsWith(stopAfter), `the text ${stopAfter}`);
      hook.current.stop();
    }
    await sent;
  },

  regenerate: (hook) => hook.current.reload(),

  toolOutput: (hook, { toolCallId, output }) => hook.current.addToolResult({ toolCallId, result: output }),
};
