'use client';

import { useEffect, useState } from 'react';
import { textOfAnswer } from '@/lib/answer-parts';
import type { ChatMessage } from '@/lib/types';
import { CheckIcon, CopyIcon, RetryIcon } from '../icons';
import styles from './message-actions.module.css';

type MessageActionsProps = {
  message: ChatMessage;
  onRegenerate: (() => void) | undefined;
};

/** What can be done with a finished answer, and which model wrote it. */
export function MessageActions({ message, onRegenerate }: MessageActionsProps) {
  const text = textOfAnswer(message);
  const model = message.metadata?.model;
  if (text === '' && !onRegenerate && !model) return null;
  return (
    <div className={styles.actions}>
      {text !== '' && <CopyButton text={text} />}
      {onRegenerate && (
        <button type="button" title="Answer again" onClick={onRegenerate} data-testid="regenerate">
          <RetryIcon />
          <span className="visually-hidden">Answer again</span>
        </button>
      )}
      {model && <span className={styles.model}>{model}</span>}
    </div>
  );
}

function CopyButton({ text }: { text: string }) {
  const [isCopied, setIsCopied] = useState(false);

  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => setIsCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [isCopied]);

  // Browsers offer the clipboard only to pages from https or this machine.
  if (typeof navigator === 'undefined' || !navigator.clipboard) return null;
  return (
    <button
      type="button"
      title="Copy the answer"
      onClick={() => void navigator.clipboard.writeText(text).then(() => setIsCopied(true), () => undefined)}
    >
      {isCopied ? <CheckIcon /> : <CopyIcon />}
      <span className="visually-hidden">{isCopied ? 'Copied' : 'Copy the answer'}</span>
    </button>
  );
}
