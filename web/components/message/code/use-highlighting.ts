import { useEffect, useRef, useState } from 'react';
import type { LanguageId } from './languages';

/** The tokens of a line: for each its length and the number of its colour, 0 for none. */
export type LineTokens = readonly number[];

export type HighlightRequest = { block: number; language: LanguageId; lines: string[] } | { block: number; end: true };
export type HighlightReply = { block: number; tokens: LineTokens[] };

/** A longer block stays plain: its elements would be too many for the page. */
const LONGEST_CODE = 100_000;

type Listener = (tokens: LineTokens[]) => void;

let worker: Worker | undefined;
let lastBlock = 0;
const listeners = new Map<number, Listener>();

/** The worker that knows the grammars: it comes with the first code, and keeps their work away from the page. */
function post(request: HighlightRequest): void {
  if (worker === undefined) {
    worker = new Worker(new URL('./highlight.worker.ts', import.meta.url), { type: 'module' });
    worker.onmessage = ({ data }: MessageEvent<HighlightReply>) => listeners.get(data.block)?.(data.tokens);
  }
  worker.postMessage(request);
}

/** One block of code in the worker, which gets each line once. */
class Session {
  private sent = '';
  private isEnded = false;
  private readonly block = ++lastBlock;

  constructor(
    private readonly language: LanguageId,
    listener: Listener,
  ) {
    listeners.set(this.block, listener);
  }

  /** Whether the code only grew since the last time. */
  goesOnWith(code: string): boolean {
    return !this.isEnded && code.startsWith(this.sent);
  }

  /** Sends the lines that are new; the last one only when nothing more can come to it. */
  send(code: string, isOpen: boolean): void {
    const end = isOpen ? code.lastIndexOf('\n') + 1 : code.length;
    const news = code.slice(this.sent.length, end);
    if (news === '') return;
    this.sent = code.slice(0, end);
    this.isEnded = !isOpen;
    const lines = news.split('\n');
    if (isOpen) lines.pop();
    post({ block: this.block, language: this.language, lines });
  }

  end(): void {
    listeners.delete(this.block);
    post({ block: this.block, end: true });
  }
}

/** The tokens of the lines of a code that may grow; none yet for the last lines. */
export function useHighlighting(code: string, language: LanguageId | undefined, isOpen: boolean): readonly LineTokens[] {
  const [tokens, setTokens] = useState<readonly LineTokens[]>([]);
  const session = useRef<Session>(undefined);

  useEffect(() => {
    if (language === undefined || code.length > LONGEST_CODE) return;
    if (session.current && !session.current.goesOnWith(code)) {
      session.current.end();
      session.current = undefined;
      setTokens([]);
    }
    session.current ??= new Session(language, (more) => setTokens((known) => [...known, ...more]));
    session.current.send(code, isOpen);
  }, [code, language, isOpen]);

  useEffect(
    () => () => {
      session.current?.end();
      session.current = undefined;
      setTokens([]);
    },
    [language],
  );

  return tokens;
}
