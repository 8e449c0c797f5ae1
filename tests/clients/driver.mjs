// The client of one released version of the AI SDK: `node driver.mjs --version 6.0.230`.
// Command `run` drives it through a scenario against a backend and tells what it came to.
import { holdChat } from '../conformance/js/client/chat.mjs';
import { answerLines, argument } from '../conformance/js/lib/lines.mjs';
import { Recording } from '../conformance/js/lib/recording.mjs';
import { holdLegacyChat } from './legacy_chat.mjs';

const version = argument('version');
const isLegacy = version.startsWith('4.');
globalThis.AI_SDK_LOG_WARNINGS = false;

// What `@ai-sdk/react` and its like add to `AbstractChat`: somewhere to keep the state.
class State {
  status = 'ready';
  error = undefined;

  constructor(messages) {
    this.messages = messages;
  }

  pushMessage = (message) => {
    this.messages = [...this.messages, message];
  };

  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };

  replaceMessage = (index, message) => {
    this.messages = this.messages.with(index, this.snapshot(message));
  };

  snapshot = (value) => structuredClone(value);
}

async function loadClient() {
  const ai = await import(`ai-${version}`);
  class Chat extends ai.AbstractChat {
    constructor({ messages, ...options }) {
      super({ ...options, state: new State(messages) });
    }
  }
  return { ai, Chat };
}

const client = isLegacy ? await import('@ai-sdk/ui-utils') : await loadClient();
const hold = isLegacy ? holdLegacyChat : holdChat;

async function run({ url, headers, scenario }) {
  const recording = new Recording(headers);
  const state = await hold({ url, scenario, recording, client });
  return { state, exchanges: await recording.finished() };
}

answerLines({ run });
