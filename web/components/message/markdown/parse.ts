import type { FootnoteDefinition, RootContent } from 'mdast';
import { fromMarkdown } from 'mdast-util-from-markdown';
import { gfmFromMarkdown } from 'mdast-util-gfm';
import { mathFromMarkdown } from 'mdast-util-math';
import { gfm } from 'micromark-extension-gfm';
import { math } from 'micromark-extension-math';

const OPTIONS = {
  extensions: [gfm(), math()],
  mdastExtensions: [gfmFromMarkdown(), mathFromMarkdown()],
};

const LABEL = /\[([^[\]]{1,200})\]/g;

/** A top-level node, and where it stands in the source that was parsed. */
export type ParsedNode = {
  node: RootContent;
  start: number;
  end: number;
  /** By how much the places inside the node are larger. */
  shift: number;
};

type Elsewhere = {
  /** Sources of definitions that stand elsewhere in the text: without them, `[label]` is plain text. */
  known: readonly string[];
  /** The head of the table whose rows the source begins with. */
  head: string;
};

/** The top-level nodes of a piece of Markdown; none where it cannot be parsed. */
export function parse(source: string, { known, head }: Elsewhere): ParsedNode[] {
  // A break at the margin closes a footnote's definition: the piece may begin with an indented block.
  const prefix = known.length === 0 ? '' : `${known.join('\n\n')}\n\n***\n\n`;
  const shift = prefix.length + head.length;
  return childrenOf(prefix + head + source).flatMap((node) => {
    const start = (node.position?.start.offset ?? 0) - shift;
    const end = (node.position?.end.offset ?? 0) - shift;
    return end <= 0 ? [] : [{ node, start: Math.max(start, 0), end, shift }];
  });
}

function childrenOf(source: string): RootContent[] {
  try {
    return fromMarkdown(source, OPTIONS).children;
  } catch {
    return []; // Nested thousands of times, it takes more stack than there is.
  }
}

/** The labels that a piece of Markdown may name, as `identifier` of nodes has them. */
export function labelsIn(source: string): string[] {
  if (!source.includes('[')) return [];
  return [...source.matchAll(LABEL)].map(([, label = '']) => label.trim().replace(/\s+/g, ' ').toLowerCase());
}

/** A source from which a footnote is known, wherever it stands. */
export function stubOf(definition: FootnoteDefinition): string {
  return `[^${definition.label ?? definition.identifier}]: .`;
}
