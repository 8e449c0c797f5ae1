// A program that Python drives: requests come on stdin, answers go to stdout, one JSON object a line. Several requests
// may be under way at once; each answer carries the id of its request. The program ends when stdin does.
import readline from 'node:readline';

export const sendLine = (value) => process.stdout.write(JSON.stringify(value) + '\n');

/** Answer requests `{id, command, ...rest}` by `commands[command](rest)`, until stdin ends. */
export function answerLines(commands) {
  // Libraries write warnings to the console, which must not get in between the answers.
  console.log = console.info = console.warn = console.error;
  const lines = readline.createInterface({ input: process.stdin });
  lines.on('line', async (line) => {
    const { id, command, ...rest } = JSON.parse(line);
    try {
      sendLine({ id, result: (await commands[command](rest)) ?? null });
    } catch (error) {
      sendLine({ id, failure: String(error?.stack ?? error) });
    }
  });
  lines.on('close', () => process.exit(0));
  sendLine({ ready: true });
}

/** The value after `--name` on the command line. */
export function argument(name) {
  const at = process.argv.indexOf(`--${name}`);
  if (at < 0) throw new Error(`--${name} is missing`);
  return process.argv[at + 1];
}
