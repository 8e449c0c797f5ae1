// The real client of one AI SDK major: `node main.mjs --major 6`.
// Commands: `run` drives it through a scenario against a backend and tells what it came to; `validate` asks
// `validateUIMessages` for its opinion of messages (majors 5 to 7).
import { loadClient } from '../lib/client.mjs';
import { answerLines, argument } from '../lib/lines.mjs';
import { Recording } from '../lib/recording.mjs';

const major = Number(argument('major'));
const client = await loadClient(major);
const { holdChat } = await import(major === 4 ? './chat_v4.mjs' : './chat.mjs');
const { complete, makeObject } = await import('./one_shot.mjs');

const DRIVERS = {
  chat: holdChat,
  text: holdChat,
  completion: complete,
  'completion-text': complete,
  object: makeObject,
  'object-array': makeObject,
  'object-enum': makeObject,
};

/** Drive the client of `scenario` at `url`; resolves to the exchanges on the wire and the client's final state. */
async function run({ url, headers, scenario }) {
  const recording = new Recording(headers);
  const state = await DRIVERS[scenario.route]({ url, scenario, recording, client });
  return { state, exchanges: await recording.finished() };
}

async function validate({ messages }) {
  const result = await client.ai.safeValidateUIMessages({ messages });
  return result.success ? null : result.error.message;
}

answerLines({ run, validate });
