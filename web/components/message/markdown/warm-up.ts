import { whenIdle } from '@/lib/when-idle';
import { parse } from './parse';

const SAMPLES = [
  'A *word* and some `code`.',
  '## Heading\n\nwith **more**, [a link](https://example.com) and $x$\n',
  '- one\n- two\n\n1. three\n',
  '| a | b |\n|---|--:|\n| 1 | 2 |\n',
  '> said\n\n```js\nf()\n```\n\n$$\nx\n$$\n',
];

/** Has the parser compiled before the first answer needs it: it takes longest for the first word of each kind. */
export function warmUp(samples: readonly string[] = SAMPLES): void {
  const [sample, ...others] = samples;
  if (sample === undefined) return;
  whenIdle(() => {
    parse(sample, { known: [], head: '' });
    warmUp(others);
  });
}
