'use client';

import { useEffect, useRef, useState } from 'react';
import { ChevronIcon, ThoughtIcon } from '../icons';
import { AnswerText } from './answer-text';
import styles from './disclosure.module.css';
import { STRINGS } from './strings';

/** What the model thought: open while it thinks, folded away after with the time it took, unless the visitor decided otherwise. */
export function Reasoning({ text, isStreaming }: { text: string; isStreaming: boolean }) {
  const [choice, setChoice] = useState<boolean>();
  const seconds = useSeconds(isStreaming);
  if (text.trim() === '') return null; // Withheld by the provider.
  const isOpen = choice ?? isStreaming;
  const thought = seconds === undefined ? STRINGS.thoughts : STRINGS.thoughtFor(seconds);
  return (
    <details className={styles.disclosure} open={isOpen} data-kind="reasoning" data-busy={isStreaming}>
      <summary
        onClick={(event) => {
          event.preventDefault(); // React decides what is open, so a new delta cannot undo the click.
          setChoice(!isOpen);
        }}
      >
        <ThoughtIcon />
        <span className={styles.title}>{isStreaming ? STRINGS.thinking : thought}</span>
        <span className={styles.chevron}>
          <ChevronIcon />
        </span>
      </summary>
      <div className={styles.content}>
        <AnswerText text={text} isStreaming={isStreaming} />
      </div>
    </details>
  );
}

/** How long it went on before the eyes of this page, once it has ended. */
function useSeconds(isStreaming: boolean): number | undefined {
  const [seconds, setSeconds] = useState<number>();
  const begin = useRef<number>(undefined);
  useEffect(() => {
    if (isStreaming) begin.current ??= performance.now();
    else if (begin.current !== undefined) setSeconds(Math.max(1, Math.round((performance.now() - begin.current) / 1000)));
  }, [isStreaming]);
  return seconds;
}
