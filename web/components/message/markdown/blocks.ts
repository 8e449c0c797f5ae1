import type { Definition, FootnoteDefinition, Nodes, RootContent } from 'mdast';
import remend from 'remend';
import { labelsIn, parse, stubOf, type ParsedNode } from './parse';

/** A top-level block of a text. One that is finished stays the same object while the text grows. */
export type Block =
  | { kind: 'markdown'; key: number; source: string; node: RootContent; group?: Group }
  | { kind: 'code'; key: number; language: string; code: string; isOpen: boolean }
  | { kind: 'plain'; key: number; text: string };

/** A list or table of which a part is finished already: its first block, and the head of the table. */
type Group = { key: number; head: string };

/** How much is parsed at first, and at most: a block that is longer is cut, at the end of a line where it has one. */
const SHORTEST_PIECE = 1_024;
const LONGEST_PIECE = 8_192;
/** From here on, the items of a list and the rows of a table are finished one by one. */
const LONG_LIST = 768;
/** The time to parse these marks grows with their square; what is written to be read has fewer. */
const MARKS = /[*_[\]`<$~!&\\]/g;
const MOST_MARKS = 2_000;
const DEEP_QUOTE = /(?:>[ \t]?){40}/;
const LONGEST_CLOSER = 1_000;
/** So many blocks render together, and not again when they are finished. */
const CHUNK = 32;

const FENCE = /^( {0,3})(`{3,}(?=[^`\n]*\n)|~{3,}(?=[^\n]*\n))[ \t]*([^\n]*)\n/;
const BLANK_LINES = /^(?:[ \t]*\n)+/;

/**
 * A Markdown text that grows, as its top-level blocks.
 *
 * Only the last block is open: CommonMark reads line by line, and a line changes no block but the last one. So the
 * whole line that begins a block ends the one before it for good. Two things reach back: the definitions of links and
 * of footnotes. When one comes, the blocks that name it are parsed anew.
 */
export class MarkdownText {
  private settled: Block[] = [];
  private open: Block[] = [];
  /** The finished blocks in groups, each the same object until something in it changes. */
  private chunks: Block[][] = [];
  private readonly chunkOf: number[] = [];
  readonly definitions = new Map<string, Definition>();
  readonly footnotes = new Map<string, FootnoteDefinition>();
  /** The footnotes that the text refers to, by their identifiers, in order. */
  readonly footnoteNumbers = new Map<string, number>();

  private text = '';
  private isFinal = false;
  private isParsed = true;
  /** Where the first block begins that is not finished. */
  private place = 0;
  /** How much of the open block is known to belong to it. */
  private scanned = 0;
  /** The level of the last finished heading; the speaker's name has level 2. */
  private level = 2;
  /** What the open block goes on. */
  private group: Group | undefined;
  /** The sources of definitions by their labels, and the places of the blocks that name a label. */
  private readonly sources = new Map<string, string>();
  private readonly mentions = new Map<string, Set<number>>();
  private readonly stale = new Set<number>();

  /**
   * Takes the whole text so far.
   *
   * @param isFinal - No more will come.
   */
  feed(text: string, isFinal: boolean): void {
    if (text === this.text && isFinal === this.isFinal) return;
    if (this.isFinal || !text.startsWith(this.text.slice(0, this.place))) this.reset();
    else if (!text.startsWith(this.text)) this.scanned = 0;
    this.text = text;
    this.isFinal = isFinal;
    this.isParsed = false;
  }

  /**
   * Parses on, until all of the text is parsed or `isEnough` says so between two pieces.
   *
   * @returns Whether all is parsed.
   */
  work(isEnough: () => boolean): boolean {
    while (!this.isParsed || this.stale.size > 0) {
      if (this.isParsed) this.refresh();
      else this.isParsed = !this.step();
      if (isEnough()) break;
    }
    return this.isParsed && this.stale.size === 0;
  }

  /** All blocks in their order; what stands below one list or table is never divided. */
  blocks(): Block[][] {
    const chunks = [...this.chunks];
    for (const block of this.open) addTo(chunks, block);
    return chunks;
  }

  private reset(): void {
    this.settled = [];
    this.chunks = [];
    this.open = [];
    this.chunkOf.length = this.place = this.scanned = 0;
    this.group = undefined;
    this.level = 2;
    const known = [this.definitions, this.footnotes, this.footnoteNumbers, this.sources, this.mentions, this.stale];
    for (const collection of known) collection.clear();
  }

  /** Does the next piece of work. Returns whether there is more. */
  private step(): boolean {
    this.open = [];
    const blank = BLANK_LINES.exec(this.text.slice(this.place, this.place + SHORTEST_PIECE));
    if (blank) this.moveTo(this.place + blank[0].length);
    if (this.place >= this.text.length) return false;
    const fence = FENCE.exec(this.text.slice(this.place, this.place + SHORTEST_PIECE));
    return fence ? this.stepCode(fence) : this.stepMarkdown();
  }

  private moveTo(place: number): void {
    this.place = place;
    this.scanned = 0;
  }

  /** Fences need no parser but for their marks, and may be as long as they like. */
  private stepCode([opener, indent = '', marks = '', info = '']: RegExpExecArray): boolean {
    const begin = this.place + opener.length;
    const closer = new RegExp(`^ {0,3}${marks[0]}{${marks.length},}[ \\t]*$`);
    const language = info.trim().split(/\s/)[0] ?? '';
    const codeUpTo = (end: number) => unindent(this.text.slice(begin, Math.max(begin, end)), indent.length);
    let line = Math.max(begin, this.place + this.scanned);
    while (line < this.text.length) {
      const lineEnd = this.text.indexOf('\n', line);
      const end = lineEnd < 0 ? this.text.length : lineEnd;
      if (end - line < LONGEST_CLOSER && closer.test(this.text.slice(line, end))) {
        // More may follow the marks in their line, which then is code.
        const isOpen = lineEnd < 0 && !this.isFinal;
        return this.put(codeBlock(language, codeUpTo(line - 1), isOpen), isOpen, end + 1);
      }
      if (lineEnd < 0) break;
      line = lineEnd + 1;
    }
    this.scanned = line - this.place;
    // The end of the last line belongs to the code only if a line follows.
    const code = codeUpTo(this.text.length - (this.text.endsWith('\n') ? 1 : 0));
    return this.put(codeBlock(language, code, !this.isFinal), !this.isFinal, this.text.length);
  }

  private put(block: Block, isOpen: boolean, end: number): boolean {
    if (isOpen) {
      this.open = [{ ...block, key: this.settled.length }];
      return false;
    }
    this.settle(block);
    this.moveTo(end);
    return true;
  }

  private stepMarkdown(): boolean {
    const rest = this.text.length - this.place;
    let length = SHORTEST_PIECE;
    while (length < Math.min(this.scanned, LONGEST_PIECE)) length *= 2;
    for (; ; length *= 2) {
      const isWhole = rest <= length;
      const piece = this.text.slice(this.place, this.place + length);
      // Marks that are not closed yet count as closed, so that they do not stand in the text meanwhile.
      const shown = isWhole && !this.isFinal ? remend(piece) : piece;
      const nodes = this.parsed(shown);
      if (isWhole && this.isFinal) return this.settleNodes(piece, nodes, piece.length);
      const sure = beginOfLastLine(piece);
      if (this.settleBegin(piece, nodes, sure)) return true;
      if (isWhole) {
        this.scanned = piece.length;
        this.open = this.blocksOf(shown, nodes).map((block, index) => ({ ...block, key: this.settled.length + index }));
        return false;
      }
      if (length >= LONGEST_PIECE) return this.settleNodes(piece, [], piece.lastIndexOf('\n') + 1 || piece.length);
    }
  }

  /**
   * Finishes the blocks before the last one, or the first items of a long list, or the first rows of a long table.
   *
   * @param sure - What begins before it begins there, whatever follows: a table needs two lines to be one.
   */
  private settleBegin(piece: string, nodes: readonly ParsedNode[], sure: number): boolean {
    const next = nodes.findLastIndex(({ start }, index) => index > 0 && start < sure);
    if (next > 0) return this.settleNodes(piece, nodes.slice(0, next), beginOfLine(piece, nodes[next]!.start));
    const first = nodes[0];
    if (first === undefined || piece.length < LONG_LIST) return false;
    if (first.node.type !== 'list' && first.node.type !== 'table') return false;
    const { children } = first.node;
    const last = children.findLastIndex((child, index) => index > 0 && startOf(child) - first.shift < sure);
    if (last < 1) return false;
    const end = beginOfLine(piece, startOf(children[last]!) - first.shift);
    if (end <= 0) return false;
    const head = first.node.type === 'table' ? this.group?.head ?? `${piece.split('\n', 2).join('\n')}\n` : '';
    const key = this.group?.key ?? this.settled.length;
    const part = { ...first.node, children: children.slice(0, last) } as RootContent;
    this.settleNodes(piece, [{ ...first, node: part, end }], end);
    this.group = { key, head };
    return true;
  }

  private settleNodes(piece: string, nodes: readonly ParsedNode[], end: number): boolean {
    const source = piece.slice(0, end);
    // What is too long for one block is parsed once more, up to where it is cut.
    const found = nodes.length > 0 ? nodes : this.parsed(source);
    for (const block of this.blocksOf(source, found)) this.settle(block);
    this.group = undefined;
    this.moveTo(this.place + end);
    return true;
  }

  private parsed(source: string, group = this.group): ParsedNode[] {
    if ((source.match(MARKS)?.length ?? 0) > MOST_MARKS || DEEP_QUOTE.test(source)) return [];
    const known = new Set(labelsIn(source).flatMap((label) => this.sources.get(label) ?? []));
    return parse(source, { known: [...known], head: group?.head ?? '' });
  }

  private blocksOf(source: string, nodes: readonly ParsedNode[]): Block[] {
    if (nodes.length === 0) return source.trim() === '' ? [] : [{ kind: 'plain', key: 0, text: source }];
    let level = this.level;
    return nodes.map(({ node, start, end }, index) => {
      // A level that is left out says to those who go from heading to heading that they have missed one.
      if (node.type === 'heading') node.depth = level = Math.min(Math.max(node.depth, 3), level + 1) as 3 | 4 | 5 | 6;
      if (node.type === 'code') return codeBlock(node.lang ?? '', node.value, false);
      const group = index === 0 ? this.group : undefined;
      return { kind: 'markdown', key: 0, source: source.slice(start, end), node, group };
    });
  }

  private settle(block: Block): void {
    const place = this.settled.length;
    const settled = { ...block, key: place };
    this.settled.push(settled);
    this.chunkOf.push(addTo(this.chunks, settled));
    if (settled.kind !== 'markdown') return;
    if (settled.node.type === 'heading') this.level = settled.node.depth;
    if (!settled.source.includes('[')) return;
    for (const label of labelsIn(settled.source)) {
      const places = this.mentions.get(label);
      if (places) places.add(place);
      else this.mentions.set(label, new Set([place]));
    }
    this.note(settled.node, settled.source);
  }

  /** Keeps the definitions in a block, and numbers the footnotes that it refers to. */
  private note(node: Nodes, source: string): void {
    if (node.type === 'definition') {
      if (!this.definitions.has(node.identifier)) this.definitions.set(node.identifier, node);
      this.know(node.identifier, source);
    } else if (node.type === 'footnoteDefinition') {
      this.footnotes.set(node.identifier, node);
      this.know(`^${node.identifier}`, stubOf(node));
    } else if (node.type === 'footnoteReference' && !this.footnoteNumbers.has(node.identifier)) {
      this.footnoteNumbers.set(node.identifier, this.footnoteNumbers.size + 1);
    }
    if ('children' in node) for (const child of node.children) this.note(child, source);
  }

  private know(label: string, source: string): void {
    if (this.sources.has(label)) return;
    this.sources.set(label, source);
    for (const place of this.mentions.get(label) ?? []) this.stale.add(place);
  }

  /** Parses one block anew that names a definition which came after it. */
  private refresh(): void {
    const [place = 0] = this.stale;
    this.stale.delete(place);
    const block = this.settled[place];
    if (block?.kind !== 'markdown' || block.node.type === 'definition') return;
    const node = this.parsed(block.source, block.group)[0]?.node;
    if (node === undefined) return;
    if (node.type === 'heading' && block.node.type === 'heading') node.depth = block.node.depth;
    const renewed = { ...block, node };
    const chunk = this.chunkOf[place] ?? 0;
    this.settled[place] = renewed;
    this.chunks[chunk] = (this.chunks[chunk] ?? []).map((other) => (other === block ? renewed : other));
    this.note(node, block.source);
  }
}

/** Adds a block to the last chunk, or to a new one. Returns the place of that chunk. */
function addTo(chunks: Block[][], block: Block): number {
  const last = chunks.at(-1);
  const goesOn = block.kind === 'markdown' && block.group !== undefined;
  if (last === undefined || (last.length >= CHUNK && !goesOn)) chunks.push([block]);
  else chunks[chunks.length - 1] = [...last, block];
  return chunks.length - 1;
}

function beginOfLine(text: string, place: number): number {
  return place <= 0 ? 0 : text.lastIndexOf('\n', place - 1) + 1;
}

/** Where the last line begins that has an end. */
function beginOfLastLine(text: string): number {
  return beginOfLine(text, text.lastIndexOf('\n'));
}

function startOf(node: Nodes): number {
  return node.position?.start.offset ?? 0;
}

function codeBlock(language: string, code: string, isOpen: boolean): Block {
  return { kind: 'code', key: 0, language, code, isOpen };
}

function unindent(code: string, width: number): string {
  return width === 0 ? code : code.replace(new RegExp(`^ {1,${width}}`, 'gm'), '');
}
