import { useEffect, useRef, useState } from 'react';
import { ask, forget, listen } from '../worker/client';
import type { LineTokens } from '../worker/protocol';
import type { LanguageId } from './languages';

/** A longer block stays plain: its elements would be too many for the page. */
const LONGEST_CODE = 100_000;

/** One block of code in the worker, which gets each line once. */
class Session {
  private sent = '';
  private isEnded = false;
  private readonly id: number;

  constructor(
    private readonly language: LanguageId,
    onTokens: (tokens: LineTokens[]) => void,
  ) {
    this.id = listen((reply) => reply.kind === 'lines' && onTokens(reply.tokens));
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
    ask({ kind: 'lines', id: this.id, language: this.language, lines });
  }

  end(): void {
    forget(this.id);
    ask({ kind: 'end', id: this.id });
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
