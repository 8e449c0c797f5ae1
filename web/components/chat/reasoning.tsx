'use client';

import { useState } from 'react';
import { ChevronIcon, ThoughtIcon } from '../icons';
import { Markdown } from './markdown';
import styles from './disclosure.module.css';

/** What the model thought: open while it thinks, folded away after, unless the visitor decided otherwise. */
export function Reasoning({ text, isStreaming }: { text: string; isStreaming: boolean }) {
  const [choice, setChoice] = useState<boolean>();
  if (text.trim() === '') return null; // Withheld by the provider.
  const isOpen = choice ?? isStreaming;
  return (
    <details className={styles.disclosure} open={isOpen} data-kind="reasoning">
      <summary
        onClick={(event) => {
          event.preventDefault(); // React decides what is open, so a new delta cannot undo the click.
          setChoice(!isOpen);
        }}
      >
        <ThoughtIcon />
        <span className={styles.title}>{isStreaming ? 'Thinking…' : 'Thoughts'}</span>
        <span className={styles.chevron}>
          <ChevronIcon />
        </span>
      </summary>
      <div className={styles.content}>
        <Markdown text={text} />
      </div>
    </details>
  );
}
