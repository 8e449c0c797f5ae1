import type { LanguageId } from '../code/languages';

/** The tokens of a line: for each its length and the number of its colour, 0 for none. */
export type LineTokens = readonly number[];

/** What the page asks of its worker. `id` names a block of code, whose lines come one after the other, or a formula. */
export type WorkerRequest =
  | { kind: 'lines'; id: number; language: LanguageId; lines: string[] }
  | { kind: 'end'; id: number }
  | { kind: 'formula'; id: number; tex: string; isBlock: boolean };

export type WorkerReply =
  | { kind: 'lines'; id: number; tokens: LineTokens[] }
  | { kind: 'formula'; id: number; html: string | undefined };
