import { useCallback, useEffect, useRef, useState } from 'react';
import { draftOf, keepDraft } from '@/lib/drafts';

const DELAY_MS = 300;

/** A text that is being written and outlives a reload. An empty one is not kept. */
export function useDraft(name: string): [string, (text: string) => void] {
  const [text, setText] = useState('');
  const pending = useRef<() => void>(undefined);

  useEffect(() => {
    const kept = draftOf(name);
    if (kept) setText((written) => written || kept);
  }, [name]);

  // What was typed last is kept when the page goes away, too.
  useEffect(() => {
    const keep = () => pending.current?.();
    window.addEventListener('pagehide', keep);
    return () => {
      keep();
      window.removeEventListener('pagehide', keep);
    };
  }, []);

  const write = useCallback(
    (next: string) => {
      setText(next);
      const keep = () => {
        clearTimeout(timer);
        pending.current = undefined;
        keepDraft(name, next);
      };
      const timer = setTimeout(() => {
        if (pending.current === keep) keep();
      }, DELAY_MS);
      pending.current = keep;
      if (next === '') keep();
    },
    [name],
  );
  return [text, write];
}
