'use client';

import { useEffect, useState } from 'react';
import { textOfAnswer } from '@/lib/answer-parts';
import type { Place } from '@/lib/chats';
import { STRINGS } from '@/lib/strings';
import type { ChatMessage } from '@/lib/types';
import { usageInWords } from '@/lib/usage';
import { CheckIcon, ChevronIcon, CopyIcon, PencilIcon, RetryIcon } from '../icons';
import type { MessageHandlers } from './message';
import styles from './message-actions.module.css';

const WORDS = STRINGS.actions;

type MessageActionsProps = {
  message: ChatMessage;
  place: Place | undefined;
  handlers: MessageHandlers;
};

/** What can be done with a message, its other versions, and what an answer took. */
export function MessageActions({ message, place, handlers }: MessageActionsProps) {
  const isAnswer = message.role === 'assistant';
  const hasText = message.parts.some((part) => part.type === 'text' && part.text !== '');
  const facts = isAnswer ? [message.metadata?.model, usageInWords(message.metadata)].filter(Boolean).join(' · ') : '';
  return (
    <div className={styles.actions}>
      {place && place.siblings.length > 1 && <Versions place={place} onShow={handlers.showVersion} />}
      {hasText && <CopyButton message={message} />}
      {isAnswer ? (
        <button
          type="button"
          className={styles.idle}
          title={WORDS.regenerate}
          onClick={() => handlers.regenerate(message.id)}
          data-testid="regenerate"
        >
          <RetryIcon />
          <span className="visually-hidden">{WORDS.regenerate}</span>
        </button>
      ) : (
        <button
          type="button"
          className={styles.idle}
          title={WORDS.edit}
          onClick={() => handlers.beginEdit(message.id)}
          data-testid="edit"
        >
          <PencilIcon />
          <span className="visually-hidden">{WORDS.edit}</span>
        </button>
      )}
      {facts !== '' && <span className={styles.facts}>{facts}</span>}
    </div>
  );
}

function Versions({ place, onShow }: { place: Place; onShow: (node: number) => void }) {
  const { siblings, index } = place;
  const step = (by: number, label: string, isBack: boolean) => {
    const node = siblings[index + by];
    return (
      <button
        type="button"
        className={styles.idle}
        title={label}
        aria-disabled={node === undefined}
        data-back={isBack}
        onClick={() => {
          if (node !== undefined) onShow(node);
        }}
      >
        <ChevronIcon />
        <span className="visually-hidden">{label}</span>
      </button>
    );
  };
  return (
    <div className={styles.versions} role="group" aria-label={WORDS.versions} data-testid="versions">
      {step(-1, WORDS.previousVersion, true)}
      <span aria-live="polite">{WORDS.version(index + 1, siblings.length)}</span>
      {step(1, WORDS.nextVersion, false)}
    </div>
  );
}

function CopyButton({ message }: { message: ChatMessage }) {
  const [isCopied, setIsCopied] = useState(false);

  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => setIsCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [isCopied]);

  // Browsers offer the clipboard only to pages from https or this machine.
  if (typeof navigator === 'undefined' || !navigator.clipboard) return null;
  const copy = () => navigator.clipboard.writeText(textOfAnswer(message)).then(() => setIsCopied(true), () => undefined);
  const label = isCopied ? WORDS.copied : WORDS.copy;
  return (
    <button
      type="button"
      title={label}
      onClick={() => void copy()}
      data-testid="copy"
    >
      {isCopied ? <CheckIcon /> : <CopyIcon />}
      <span className="visually-hidden">{label}</span>
    </button>
  );
}
