import { useCallback, useEffect, useRef, useState } from 'react';
import { draftOf, keepDraft } from '@/lib/drafts';

const DELAY_MS = 300;

/** A text that is being written and outlives a reload: it, how to change it, and how to keep it now. An empty one is not kept. */
export function useDraft(name: string): [string, (text: string) => void, () => void] {
  const [text, setText] = useState('');
  const pending = useRef<() => void>(undefined);
  const keptAs = useRef(name);
  useEffect(() => {
    if (keptAs.current !== name) {
      // A new chat has got its own name, and its next message may be begun already.
      keepDraft(name, draftOf(keptAs.current) ?? '');
      keepDraft(keptAs.current, '');
      keptAs.current = name;
    }
    const kept = draftOf(name);
    if (kept) setText((written) => written || kept);
  }, [name]);
  // What was typed last is kept when the page goes away, too.
  const keepNow = useCallback(() => pending.current?.(), []);
  useEffect(() => {
    window.addEventListener('pagehide', keepNow);
    return () => {
      keepNow();
      window.removeEventListener('pagehide', keepNow);
    };
  }, [keepNow]);

  const write = useCallback((next: string) => {
    setText(next);
    const keep = () => {
      clearTimeout(timer);
      pending.current = undefined;
      keepDraft(keptAs.current, next);
    };
    const timer = setTimeout(() => {
      if (pending.current === keep) keep();
    }, DELAY_MS);
    pending.current = keep;
    if (next === '') keep();
  }, []);

  return [text, write, keepNow];
}
