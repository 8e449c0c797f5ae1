// A page whose chat was loaded while it was being answered, and which asks for the stream when the answer has ended:
// `node late_load.mjs --major 7`. Command `show` runs the page of docs/saving.md, and tells what it shows.
import { loadClient } from '../conformance/js/lib/client.mjs';
import { answerLines, argument } from '../conformance/js/lib/lines.mjs';

const { ai, useChat, useEffect, renderHook } = await loadClient(Number(argument('major')));

/**
 * @param page the page's hooks, as the page of the documentation has them
 * @param loaded the chat as the page was loaded with it
 * @returns the messages that the page shows when there are more than it was loaded with
 */
async function show({ url, page, chatId, loaded }) {
  const names = {
    useChat,
    useEffect,
    id: chatId,
    transport: new ai.DefaultChatTransport({ api: `${url}/api/chat` }),
    initialMessages: loaded.messages,
    isAnswering: loaded.isAnswering,
    backend: {},
    fetch: (path, options) => fetch(new URL(path, url), options),
  };
  const use = new Function(...Object.keys(names), `${page}\nreturn messages;`);
  return new Promise((resolve) => {
    renderHook(() => {
      const messages = use(...Object.values(names));
      if (messages.length > loaded.messages.length) resolve(JSON.parse(JSON.stringify(messages)));
      return messages;
    });
  });
}

answerLines({ show });
