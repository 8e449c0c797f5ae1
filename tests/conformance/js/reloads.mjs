// Pages that talk to a saving server over the WebSocket of AI SDK 7 and are reloaded: the SDK's own chat and transport.
// Command `visit` leaves a page at a given chunk, opens it anew and tells what the second one shows; `stop` stops one.
import { WebSocket } from 'ws';
import { answerLines } from './lib/lines.mjs';
import { loadClient } from './lib/client.mjs';
import { waitIdle, waitUntil } from './lib/wait.mjs';

const { ai, Chat } = await loadClient(7);

class Page {
  chunks = 0;
  errors = [];

  constructor({ url, chatId, messages }) {
    this.transport = this.#countingTransport(url);
    this.chat = new Chat({
      id: chatId,
      messages,
      transport: this.transport,
      onError: (error) => this.errors.push(error.message),
    });
  }

  async reach(count) {
    await waitUntil(() => this.chunks >= count, `chunk ${count}`);
  }

  async idle() {
    await waitIdle(() => ['submitted', 'streaming'].includes(this.chat.status), 5);
  }

  #countingTransport(url) {
    const counted = (stream) =>
      stream?.pipeThrough(
        new TransformStream({
          transform: (chunk, controller) => {
            this.chunks += 1;
            controller.enqueue(chunk);
          },
        }),
      ) ?? null;
    class CountingTransport extends ai.WebSocketChatTransport {
      sendMessages = async (options) => counted(await super.sendMessages(options));
      reconnectToStream = async (options) => counted(await super.reconnectToStream(options));
    }
    return new CountingTransport({ url: `${url}/api/chat/ws`, webSocket: WebSocket });
  }
}

async function load({ url, chatId }) {
  const response = await fetch(`${url}/api/chats/${chatId}`);
  return response.ok ? (await response.json()).messages : [];
}

async function visit({ text, leaveAt, ...place }) {
  const first = new Page({ ...place, messages: [] });
  await first.chat.resumeStream();
  first.chat.sendMessage({ text });
  await first.reach(leaveAt);
  first.transport.close();

  const second = new Page({ ...place, messages: await load(place) });
  await second.chat.resumeStream();
  await second.idle();
  second.transport.close();
  const { messages } = second.chat;
  return { messages, chunks: second.chunks, errors: second.errors, saved: await load(place) };
}

async function stop({ text, stopAt, ...place }) {
  const page = new Page({ ...place, messages: [] });
  const sent = page.chat.sendMessage({ text });
  await page.reach(stopAt);
  await page.chat.stop();
  await sent;
  const { messages } = page.chat;
  // The next turn waits for the stopped one to be saved.
  await page.chat.sendMessage({ text });
  page.transport.close();
  return { messages, errors: page.errors, saved: await load(place) };
}

answerLines({ visit, stop });
