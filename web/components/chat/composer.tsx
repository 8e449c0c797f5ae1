'use client';

import { useEffect, useRef, useState, type FormEvent, type KeyboardEvent, type ReactNode } from 'react';
import { useAutoGrow } from '@/hooks/use-auto-grow';
import { ArrowUpIcon, StopIcon } from '../icons';
import styles from './composer.module.css';

type ComposerProps = {
  isBusy: boolean;
  onSend: (text: string) => void;
  onStop: () => void;
  /** Small controls below the text. */
  children?: ReactNode;
};

/** The field to write in: Enter sends, Shift+Enter begins a new line. */
export function Composer({ isBusy, onSend, onStop, children }: ComposerProps) {
  const [text, setText] = useState('');
  const field = useRef<HTMLTextAreaElement>(null);
  useAutoGrow(field, text);

  useEffect(() => {
    // On a touch screen the focus would raise the keyboard over the page.
    if (window.matchMedia('(hover: hover)').matches) field.current?.focus();
  }, []);

  function submit(event?: FormEvent) {
    event?.preventDefault();
    if (isBusy || text.trim() === '') return;
    onSend(text);
    setText('');
    field.current?.focus();
  }

  function onKeyDown(event: KeyboardEvent) {
    // While an input method composes a word, Enter belongs to it.
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    submit();
  }

  function stop() {
    onStop();
    field.current?.focus(); // The button that had the focus goes away.
  }

  return (
    <form className={styles.composer} onSubmit={submit}>
      <label className="visually-hidden" htmlFor="prompt">
        Message
      </label>
      <textarea
        id="prompt"
        ref={field}
        rows={1}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
        placeholder="Write a message"
        enterKeyHint="send"
        aria-describedby="prompt-hint"
        data-testid="prompt"
      />
      <div className={styles.bar}>
        {children}
        <span id="prompt-hint" className={styles.hint}>
          <kbd>Enter</kbd> sends, <kbd>Shift</kbd>+<kbd>Enter</kbd> makes a new line
        </span>
        {isBusy ? (
          <button key="stop" type="button" className={styles.round} onClick={stop} data-testid="stop">
            <StopIcon />
            <span className="visually-hidden">Stop the answer</span>
          </button>
        ) : (
          <button key="send" type="submit" className={styles.round} disabled={text.trim() === ''} data-testid="send">
            <ArrowUpIcon />
            <span className="visually-hidden">Send</span>
          </button>
        )}
      </div>
    </form>
  );
}
