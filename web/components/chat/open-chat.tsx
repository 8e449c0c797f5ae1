'use client';

import { useCallback, useEffect, useRef, useState } from 'react';
import { useSavedChat } from '@/hooks/use-saved-chat';
import { openNewChat } from '@/lib/route';
import { STRINGS } from '@/lib/strings';
import { Chat } from './chat';
import styles from './open-chat.module.css';

type OpenChatProps = {
  id: string;
  isNew: boolean;
  /** Words of the message to go to. */
  find: string;
  /** A chat that is not shown goes on reading its answer. */
  isShown: boolean;
  onBusy: (id: string, isBusy: boolean) => void;
};

/** A chat by its id: new, or as the server has it. */
export function OpenChat({ id, isNew, find, isShown, onBusy }: OpenChatProps) {
  const [opened, reload] = useSavedChat(id, isNew, find);
  const [visit, setVisit] = useState(0);
  const takesFocus = useTakesFocus(isShown);
  if (!isShown && opened.status !== 'ready') return null;
  switch (opened.status) {
    case 'loading':
      return (
        <div className={styles.notice} role="status" data-testid="opening">
          <span className={styles.spinner} aria-hidden="true" />
          <span className="visually-hidden">{STRINGS.openingChat}</span>
        </div>
      );
    case 'missing':
      return (
        <section className={styles.notice} data-testid="missing-chat">
          <h1>{STRINGS.missingChat.title}</h1>
          <p>{STRINGS.missingChat.text}</p>
          <button type="button" className="button button-primary" onClick={openNewChat}>
            {STRINGS.missingChat.action}
          </button>
        </section>
      );
    case 'failed':
      return (
        <section className={styles.notice} role="alert">
          <h1>{STRINGS.failedChat.title}</h1>
          <p>{opened.error instanceof TypeError ? STRINGS.errors.lost : opened.error.message}</p>
          <button type="button" className="button button-primary" onClick={reload}>
            {STRINGS.failedChat.action}
          </button>
        </section>
      );
    case 'ready':
      return (
        <Chat
          key={visit}
          id={id}
          isNew={isNew}
          saved={opened.saved}
          found={opened.found}
          isShown={isShown}
          takesFocus={takesFocus}
          onBusy={onBusy}
          onReload={() => {
            setVisit((number) => number + 1);
            reload();
          }}
        />
      );
  }
}

/** Who has gone elsewhere while a chat was loaded, to search or to rename another one, keeps the keys there. */
function useTakesFocus(isShown: boolean): () => boolean {
  const before = useRef<Element | null>(null);
  useEffect(() => {
    before.current = isShown ? document.activeElement : null;
  }, [isShown]);
  return useCallback(() => {
    const now = document.activeElement;
    return before.current === null || now === null || now === document.body || now === before.current;
  }, []);
}
