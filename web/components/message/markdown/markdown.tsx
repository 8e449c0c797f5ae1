'use client';

import type { List, Table } from 'mdast';
import { memo, useEffect, useId, useMemo, useReducer, useState } from 'react';
import { CodeBlock } from '../code/code-block';
import { STRINGS } from '../strings';
import { MarkdownText, type Block } from './blocks';
import { MarkdownProvider } from './context';
import { Children, ListView, NodeView, TableView } from './nodes';
import styles from './markdown.module.css';

export { warmUp } from './warm-up';

/** An arrow, and that it is no emoji. */
const RETURN = ' \u21a9\ufe0e';
/** How long is parsed without a pause; the rest waits until the browser has had its turn. */
const PARSING_MS = 6;
/** How often is shown what has been parsed meanwhile, where a long text came at once. */
const SHOWING_MS = 100;

type MarkdownProps = {
  text: string;
  /** Whether more of the text will come. */
  isStreaming: boolean;
};

/** A model's words. HTML in them stays text; what is finished is neither parsed nor rendered again while they grow. */
export const Markdown = memo(function Markdown({ text: words, isStreaming }: MarkdownProps) {
  const id = useId();
  const [text] = useState(() => new MarkdownText());
  const [, goOn] = useReducer((count: number) => count + 1, 0);
  const context = useMemo(() => ({ text, id }), [text, id]);

  // Taking the same words twice changes nothing, so React may render as often as it likes.
  text.feed(words, !isStreaming);
  const isDone = parseOn(text);
  useEffect(() => {
    if (isDone) return;
    const shown = performance.now();
    const parse = () => {
      if (parseOn(text) || performance.now() - shown > SHOWING_MS) goOn();
      else timer = setTimeout(parse, 0);
    };
    let timer = setTimeout(parse, 0);
    return () => clearTimeout(timer);
  });

  return (
    <MarkdownProvider value={context}>
      <div className={styles.markdown}>
        {text.blocks().map((blocks, index, all) => (
          <Chunk key={index} blocks={blocks} isFar={index < all.length - 2} />
        ))}
        {isDone && <Footnotes text={text} id={id} count={text.footnoteNumbers.size} />}
      </div>
    </MarkdownProvider>
  );
});

/** Parses for a while. Returns whether all is parsed. */
function parseOn(text: MarkdownText): boolean {
  const end = performance.now() + PARSING_MS;
  return text.work(() => performance.now() > end);
}

const Chunk = memo(
  function Chunk({ blocks, isFar }: { blocks: readonly Block[]; isFar: boolean }) {
    return (
      <div className={styles.chunk} data-far={isFar}>
        {together(blocks).map((parts) => {
          const [first] = parts;
          if (first === undefined) return null;
          const nodes = parts.flatMap((block) => (block.kind === 'markdown' ? [block.node] : []));
          if (nodes[0]?.type === 'list') return <ListView key={first.key} parts={nodes as List[]} />;
          if (nodes[0]?.type === 'table') return <TableView key={first.key} parts={nodes as Table[]} />;
          return <BlockView key={first.key} block={first} />;
        })}
      </div>
    );
  },
  // Chunks are made anew for each rendering where the open block stands in them.
  (before, after) =>
    before.isFar === after.isFar &&
    before.blocks.length === after.blocks.length &&
    before.blocks.every((block, index) => block === after.blocks[index]),
);

/** The blocks, with the parts of one list or table together. */
function together(blocks: readonly Block[]): Block[][] {
  const groups: Block[][] = [];
  for (const block of blocks) {
    const goesOn = block.kind === 'markdown' && block.group !== undefined;
    if (goesOn && groups.length > 0) groups.at(-1)?.push(block);
    else groups.push([block]);
  }
  return groups;
}

const BlockView = memo(function BlockView({ block }: { block: Block }) {
  switch (block.kind) {
    case 'code':
      return <CodeBlock language={block.language} code={block.code} isOpen={block.isOpen} />;
    case 'plain':
      return <p className={styles.plain}>{block.text}</p>;
    case 'markdown':
      return <NodeView node={block.node} />;
  }
});

function Footnotes({ text, id, count }: { text: MarkdownText; id: string; count: number }) {
  if (count === 0) return null;
  return (
    <section className={styles.footnotes} aria-label={STRINGS.footnotes}>
      <ol>
        {[...text.footnoteNumbers].map(([identifier, number]) => (
          <li key={identifier} id={`${id}-to-${number}`}>
            <Children nodes={text.footnotes.get(identifier)?.children ?? []} depth={1} />
            <a href={`#${id}-from-${number}`} aria-label={STRINGS.backToText}>
              {RETURN}
            </a>
          </li>
        ))}
      </ol>
    </section>
  );
}
