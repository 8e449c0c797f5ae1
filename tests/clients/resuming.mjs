// People who leave and come back, with the client of one major: `node resuming.mjs --major 6`.
// Command `visit` holds a chat in a tab that is closed at given chunks and opened anew, and tells what it shows then.
import { loadClient } from '../conformance/js/lib/client.mjs';
import { answerLines, argument } from '../conformance/js/lib/lines.mjs';
import { load, Tab } from './tab.mjs';

// StrictMode mounts twice in React's development build alone.
process.env.NODE_ENV = 'development';
const major = Number(argument('major'));
const client = await loadClient(major);

class Visit {
  outcome = { other: null, chunks: [], cuts: 0, late: false, statuses: [], errors: [], stopped: null };
  #opened = 0;

  constructor({ urls, ...place }) {
    this.urls = urls;
    this.place = place;
  }

  /** A tab with the page as it is loaded now, from the next of the servers. */
  async open() {
    return (await this.load())();
  }

  /** Load the page, and return what opens it. */
  async load() {
    const place = { ...this.place, url: this.urls[this.#opened++ % this.urls.length] };
    const loaded = await load(place, major);
    return () => new Tab(client, place).open(loaded);
  }

  close(tab) {
    tab.close();
    this.outcome.statuses.push(...tab.statuses);
    this.outcome.errors.push(...tab.errors);
  }

  /** A page that a server renders is loaded before the one that it replaces is left. */
  async reload(tab) {
    const open = this.place.isRendered ? await this.load() : () => this.open();
    this.close(tab);
    return open();
  }

  async follow(tab, { kind, cuts = [], otherTabAt, stopAt, ...step }) {
    const before = tab.chunks;
    await tab.ask((chat) => STEPS[kind](chat, step));
    for (const count of cuts) {
      if (!(await tab.cutAt(count))) break;
      this.outcome.cuts += 1;
      tab = await this.reload(tab);
    }
    const other = otherTabAt !== undefined && (await tab.reach(otherTabAt)) ? await this.open() : undefined;
    if (stopAt !== undefined && (await tab.reach(stopAt))) await this.stop(other ?? tab);
    tab = await this.settle(tab);
    this.outcome.chunks.push(tab.chunks - before);
    if (other) {
      const settled = await this.settle(other);
      this.outcome.other = settled.messages;
      this.close(settled);
    }
    return tab;
  }

  /** The tab when the answer has ended. One that was loaded before that and asked after it is loaded once more. */
  async settle(tab) {
    await tab.idle();
    if (tab.messages.at(-1)?.role === 'assistant' && tab.chunks > 0) return tab;
    this.outcome.late = true;
    const again = await this.reload(tab);
    await again.idle();
    return again;
  }

  async stop({ place: { url, chatId, headers } }) {
    const response = await fetch(`${url}/api/chat/${chatId}/stop`, { method: 'POST', headers });
    this.outcome.stopped = await response.json();
  }
}

const STEPS = {
  send: ({ append, sendMessage }, { text }) => (append ? append({ role: 'user', content: text }) : sendMessage({ text })),

  approve({ messages, addToolApprovalResponse }) {
    const { approval } = messages.at(-1).parts.find((part) => part.state === 'approval-requested');
    addToolApprovalResponse({ id: approval.id, approved: true });
  },

  /** Come back to a chat without doing anything in it. */
  look: ({ experimental_resume, resumeStream }) => (experimental_resume ?? resumeStream)(),
};

async function visit({ flow, ...place }) {
  const visit = new Visit(place);
  let tab = await visit.open();
  try {
    await tab.idle();
    for (const step of flow) tab = await visit.follow(tab, step);
  } catch (error) {
    visit.outcome.errors.push(error.stack);
  }
  const { messages } = tab;
  visit.close(tab);
  const { messages: saved } = await load({ ...place, url: place.urls[0] }, major);
  return { ...visit.outcome, messages, saved };
}

answerLines({ visit });
