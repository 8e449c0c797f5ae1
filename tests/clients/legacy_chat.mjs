// Holds a conversation through what `useChat` of AI SDK 4 calls: `callChatApi`, which reads the data stream.
import { waitUntil } from '../conformance/js/lib/wait.mjs';

const clone = (value) => JSON.parse(JSON.stringify(value ?? null));

export async function holdLegacyChat({ url, scenario, recording, client }) {
  const chat = { messages: [], error: null, data: [], events: [], count: 0 };
  for (const step of scenario.flow) await STEPS[step.kind]({ chat, step, url, scenario, recording, client });
  const { messages, error, data, events } = chat;
  return { status: error ? 'error' : 'ready', error: error?.message ?? null, messages: clone(messages), data, events };
}

async function ask({ chat, url, scenario, recording, client, controller = new AbortController() }) {
  chat.error = null;
  const before = chat.messages;
  await client
    .callChatApi({
      api: `${url}/api/${scenario.route}`,
      // As useChat does it: no ids.
      body: { id: 'chat', messages: before.map(({ id, createdAt, revisionId, ...rest }) => rest), model: scenario.model, ...scenario.body },
      streamProtocol: 'data',
      abortController: () => controller,
      restoreMessagesOnFailure() {},
      onResponse() {},
      onUpdate({ message, data, replaceLastMessage }) {
        chat.messages = [...(replaceLastMessage ? before.slice(0, -1) : before), message];
        if (data) chat.data = clone(data);
      },
      onFinish: (message, rest) => chat.events.push({ onFinish: clone(rest) }),
      onToolCall: ({ toolCall }) => void chat.events.push({ onToolCall: clone(toolCall) }),
      generateId: () => `client-${++chat.count}`,
      fetch: recording.fetch,
      lastMessage: before.at(-1),
    })
    .catch((error) => {
      if (error.name !== 'AbortError') chat.error = error;
    });
}

const STEPS = {
  async send({ chat, step, ...rest }) {
    const parts = [{ type: 'text', text: step.text }];
    chat.messages = [...chat.messages, { id: `client-${++chat.count}`, role: 'user', content: step.text, parts }];
    const controller = new AbortController();
    const before = chat.messages.length;
    const asked = ask({ chat, controller, ...rest });
    if (step.stopAfter) {
      await waitUntil(() => chat.messages[before]?.content.endsWith(step.stopAfter), `the text ${step.stopAfter}`);
      controller.abort();
    }
    await asked;
  },

  async toolOutput({ chat, step, client, ...rest }) {
    client.updateToolCallResult({ messages: chat.messages, toolCallId: step.toolCallId, toolResult: step.output });
    await ask({ chat, client, ...rest });
  },
};
