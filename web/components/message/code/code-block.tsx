'use client';

import { memo, useMemo } from 'react';
import { CopyButton } from '../copy-button';
import { STRINGS } from '../strings';
import type { LineTokens } from '../worker/protocol';
import { languageOf } from './languages';
import { useHighlighting } from './use-highlighting';
import styles from './code-block.module.css';

/** So many lines render together, and not again while those after them grow. */
const CHUNK = 40;

type CodeBlockProps = {
  /** As it was written at the fence. */
  language: string;
  code: string;
  /** Whether more of it will come. */
  isOpen: boolean;
};

/** Code as plain text from its first letter on; colours come to whole lines, and stay. */
export const CodeBlock = memo(function CodeBlock({ language, code, isOpen }: CodeBlockProps) {
  const known = languageOf(language);
  const tokens = useHighlighting(code, known?.id, isOpen);
  const chunks = useMemo(() => chunksOf(code), [code]);
  return (
    <figure className={styles.block}>
      <figcaption className={styles.head}>
        <span className={styles.language}>{known?.label ?? (language.slice(0, 40) || STRINGS.plainText)}</span>
        <CopyButton text={code} label={STRINGS.copyCode} />
      </figcaption>
      <pre className={styles.code} tabIndex={0} role="group" aria-label={STRINGS.code} dir="ltr">
        <code>
          {chunks.map((chunk, index) => (
            <Lines key={index} code={chunk} tokens={tokens} begin={index * CHUNK} />
          ))}
        </code>
      </pre>
    </figure>
  );
});

function chunksOf(code: string): string[] {
  const lines = code.split('\n');
  const chunks: string[] = [];
  for (let place = 0; place < lines.length; place += CHUNK) {
    const isLast = place + CHUNK >= lines.length;
    chunks.push(lines.slice(place, place + CHUNK).join('\n') + (isLast ? '' : '\n'));
  }
  return chunks;
}

type LinesProps = { code: string; tokens: readonly LineTokens[]; begin: number };

const Lines = memo(
  function Lines({ code, tokens, begin }: LinesProps) {
    if (tokens.length <= begin) return <span>{code}</span>;
    return (
      <span>
        {code.split('\n').map((line, index, lines) => (
          <Line key={index} text={index < lines.length - 1 ? `${line}\n` : line} tokens={tokens[begin + index]} />
        ))}
      </span>
    );
  },
  (before, after) =>
    before.code === after.code && coloured(before) === coloured(after) && before.tokens[before.begin] === after.tokens[after.begin],
);

/** How many lines of a chunk have colours. */
function coloured({ tokens, begin }: LinesProps): number {
  return Math.min(Math.max(tokens.length - begin, 0), CHUNK);
}

const Line = memo(function Line({ text, tokens }: { text: string; tokens: LineTokens | undefined }) {
  if (tokens === undefined) return text;
  const pieces = [];
  let place = 0;
  for (let index = 0; index < tokens.length; index += 2) {
    const end = place + (tokens[index] ?? 0);
    const colour = tokens[index + 1] ?? 0;
    const piece = text.slice(place, end);
    pieces.push(colour === 0 ? piece : <span key={index} className={styles[`c${colour}`]}>{piece}</span>);
    place = end;
  }
  return [...pieces, text.slice(place)];
});
