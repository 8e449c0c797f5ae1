// The real clients of AI SDK 4 to 7, for tests: reads one JSON request a line, answers one JSON line each.
//   {op: "chat", major, body, message?}    what useChat holds after this response body; `message` is continued
//   {op: "read", major, body, message?}    what readUIMessageStream builds from it, errors passed over
//   {op: "partial", text}                  the value of a partial JSON text
import { createInterface } from 'node:readline';
import { callChatApi } from '@ai-sdk/ui-utils';

const sdks = { 5: await import('ai-5'), 6: await import('ai-6'), 7: await import('ai-7') };
const user = { id: 'u1', role: 'user', parts: [{ type: 'text', text: 'hi' }] };

class State {
  status = 'ready';
  error = undefined;
  constructor(messages) { this.messages = messages; }
  pushMessage = (message) => { this.messages = [...this.messages, message]; };
  popMessage = () => { this.messages = this.messages.slice(0, -1); };
  // No copies: what the client changes after its last update counts too.
  replaceMessage = (index, message) => { this.messages = this.messages.with(index, message); };
  snapshot = (value) => value;
}

async function chat({ major, body, message }) {
  const { AbstractChat, DefaultChatTransport } = sdks[major];
  const fetch = async () => new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  const state = new State(message ? [user, message] : [user]);
  const client = new (class extends AbstractChat {})({
    id: 'c1', generateId: () => 'm0', state, transport: new DefaultChatTransport({ api: 'http://chat.test', fetch }),
  });
  await client.sendMessage();
  const last = state.messages.at(-1);
  return { message: last.role === 'assistant' ? last : null, error: state.error ? String(state.error) : null };
}

async function chat4({ body, message }) {
  let held = message ?? null;
  try {
    await callChatApi({
      api: 'http://chat.test', body: {}, streamProtocol: 'data', credentials: undefined, headers: undefined,
      abortController: () => undefined, restoreMessagesOnFailure: () => {}, onResponse: undefined,
      onUpdate: (update) => { held = update.message; }, onFinish: undefined, onToolCall: undefined,
      generateId: () => 'm0', fetch: async () => new Response(body), lastMessage: message,
    });
    return { message: held, error: null };
  } catch (error) {
    return { message: held, error: String(error) };
  }
}

async function read({ major, body, message }) {
  const events = body.toString().split('\n\n').filter((event) => event.startsWith('data: {'));
  const chunks = events.map((event) => JSON.parse(event.slice('data: '.length)));
  // Only some chunks make it show what it has: the last one here does, and is taken off again.
  chunks.push({ type: 'data-end-of-test', data: null });
  const stream = new ReadableStream({
    start(controller) { chunks.forEach((chunk) => controller.enqueue(chunk)); controller.close(); },
  });
  const errors = [];
  let held = null;
  const start = message ?? { id: 'm0', role: 'assistant', parts: [] };
  const onError = (error) => errors.push(String(error));
  for await (const shown of sdks[major].readUIMessageStream({ message: start, stream, onError })) held = shown;
  held.parts.pop();
  return { message: held, error: errors.join('; ') || null };
}

const partial = async ({ text }) => {
  const { value } = await sdks[7].parsePartialJson(text);
  return { found: value !== undefined, value: value ?? null };
};

const operations = { chat: (request) => (request.major === 4 ? chat4(request) : chat(request)), read, partial };

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (request.body !== undefined) request.body = Buffer.from(request.body, 'base64');
  const answer = await operations[request.op](request);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
