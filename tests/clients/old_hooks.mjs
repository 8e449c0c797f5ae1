// The hooks of `ai/react` from 2.2 to 4.3, all in one process: `node old_hooks.mjs`.
// Command `chat` holds a conversation by `useChat`, `complete` asks `useCompletion`; both tell what is shown then.
import { setUpDom } from '../conformance/js/lib/dom.mjs';
import { answerLines } from '../conformance/js/lib/lines.mjs';
import { waitIdle, waitUntil } from '../conformance/js/lib/wait.mjs';

const SETTLE = 10;
const clone = (value) => JSON.parse(JSON.stringify(value ?? null));
const renderHook = await setUpDom((name) => import(name));
let chats = 0;

/** The hooks take no `fetch` before 3.3, so what they call is what keeps their requests and the responses' headers. */
const network = globalThis.fetch;
let exchanges = [];
globalThis.fetch = async (input, init) => {
  const exchange = { body: JSON.parse(init.body), headers: {} };
  exchanges.push(exchange);
  const response = await network(input, init);
  exchange.headers = Object.fromEntries(response.headers);
  return response;
};

async function chat({ version, url, headers, body = {}, flow, initialMessages = [], maxSteps, sendId }) {
  const { useChat } = await import(`ai-${version}/react`);
  const events = [];
  exchanges = [];
  const number = ++chats;
  const hook = renderHook(() =>
    useChat({
      // The hooks share a cache that goes by the address or the id.
      api: `${url}?chat=${number}`,
      id: sendId ? `chat-${number}` : undefined,
      headers,
      body,
      initialMessages,
      maxSteps,
      onFinish: (message, rest) => events.push({ onFinish: clone(rest) }),
      onError: (error) => events.push({ onError: error.message }),
    }),
  );
  for (const step of flow) {
    await STEPS[step.kind](hook, step);
    await waitIdle(() => hook.current.isLoading, SETTLE);
  }
  const { error, messages, data } = hook.current;
  hook.unmount();
  return { error: error?.message ?? null, messages: clone(messages), data: clone(data), events, exchanges };
}

const STEPS = {
  async send(hook, { text, stopAfter }) {
    const before = hook.current.messages.length;
    const sent = hook.current.append({ role: 'user', content: text });
    if (stopAfter) {
      const answer = () => hook.current.messages[before + 1]?.content ?? '';
      await waitUntil(() => answer().endsWith(stopAfter), `the text ${stopAfter}`);
      hook.current.stop();
    }
    await sent;
  },

  toolOutput: (hook, { toolCallId, output }) => hook.current.addToolResult({ toolCallId, result: output }),
};

async function complete({ version, url, headers, prompt, body = {} }) {
  const { useCompletion } = await import(`ai-${version}/react`);
  exchanges = [];
  const number = ++chats;
  const hook = renderHook(() => useCompletion({ api: `${url}?completion=${number}`, headers, body }));
  await hook.current.complete(prompt);
  await waitIdle(() => hook.current.isLoading, SETTLE);
  const { completion, error } = hook.current;
  hook.unmount();
  return { completion, error: error?.message ?? null, exchanges };
}

answerLines({ chat, complete });
