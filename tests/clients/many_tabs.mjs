// Tabs of one chat, with the client of one major: `node many_tabs.mjs --major 6`.
// Command `act` does one thing in a tab, which is opened when it is first named, and tells what came of it. Several tabs
// may be at it at once; each says when it `awaits` the `end` of its answer, and when only that it has been asked for.
import { loadClient } from '../conformance/js/lib/client.mjs';
import { answerLines, argument } from '../conformance/js/lib/lines.mjs';
import { load, Tab } from './tab.mjs';

const major = Number(argument('major'));
const client = await loadClient(major);
const tabs = new Map();

const pick = (found, at) => found[at % found.length];
const indexesOf = (role, { messages }) => messages.flatMap((message, index) => (message.role === role ? [index] : []));

/** The message with another text, as a page has it that edits its copy. */
function withText(message, text) {
  const parts = [{ type: 'text', text }];
  return major === 4 ? { ...message, content: text, parts } : { ...message, parts };
}

/** The messages to an edited one. */
const editedAt = ({ messages }, index, text) => [...messages.slice(0, index), withText(messages[index], text)];

/** What people do. Each returns what makes the request; nothing when there is nothing to do it with. */
const STEPS = {
  send: (chat, { text }) => () => (major === 4 ? chat.append({ role: 'user', content: text }) : chat.sendMessage({ text })),

  edit(chat, { at, text }) {
    const index = pick(indexesOf('user', chat), at);
    if (index === undefined) return;
    if (major === 4) return STEPS.editAndRegenerate(chat, { at, text });
    return () => chat.sendMessage({ text, messageId: chat.messages[index].id });
  },

  editAndRegenerate(chat, { at, text }) {
    const index = pick(indexesOf('user', chat), at);
    if (index === undefined) return;
    return () => {
      chat.setMessages(editedAt(chat, index, text));
      return major === 4 ? chat.reload() : chat.regenerate();
    };
  },

  regenerate(chat, { at }) {
    if (major === 4) return indexesOf('user', chat)[0] === 0 && (() => chat.reload());
    const index = pick(indexesOf('assistant', chat), at);
    // The first of them is the usual button below the last answer.
    return indexesOf('user', chat)[0] === 0 && (() => chat.regenerate(index !== undefined && at % 2 ? { messageId: chat.messages[index].id } : {}));
  },

  tryAgain: (chat) => major > 4 && chat.messages.at(-1)?.role === 'user' && (() => chat.sendMessage()),

  decide(chat, { approved }) {
    const asked = (chat.messages.at(-1)?.parts ?? []).filter((part) => part.state === 'approval-requested');
    if (asked.length === 0 || !chat.addToolApprovalResponse) return;
    return () => asked.forEach(({ approval: { id } }) => chat.addToolApprovalResponse({ id, approved }));
  },
};

async function open(place) {
  const tab = await new Tab(client, place).open(await load(place, major));
  await tab.idle();
  return tab;
}

async function act({ name, place, kind, fault, awaits, ...step }) {
  const tab = tabs.get(name) ?? (await open(place));
  tabs.set(name, tab);
  if (kind === 'stop') {
    const response = await fetch(`${place.url}/api/chat/${place.chatId}/stop`, { method: 'POST', headers: place.headers });
    if (!response.ok) tab.refusals.push({ status: response.status, body: await response.text() });
  } else if (kind === 'reload') {
    tab.close();
    const again = await open(place);
    tabs.set(name, again);
    return told(tab, again);
  } else if (kind === 'stopAndSend') {
    // As a page does it whose button stops the client, and nothing else.
    tab.hook.current.stop();
    await tab.idle();
    await tab.ask(STEPS.send(tab.hook.current, step));
    await tab.idle();
  } else if (kind === 'settle') {
    await tab.idle();
  } else if (kind === 'repeat') {
    if (tab.last) await tab.repeat();
  } else {
    await tab.idle();
    const request = STEPS[kind](tab.hook.current, step);
    if (request) {
      tab.fault = fault;
      await tab.ask(request);
      if (awaits === 'end') await tab.idle();
    }
  }
  return told(tab, tab);
}

/** What a tab has done since it was asked last, and what it shows. */
function told({ posts, refusals, statuses }, { messages }) {
  return { posts: posts.splice(0), refusals: refusals.splice(0), statuses: statuses.splice(0), messages };
}

answerLines({ act });
