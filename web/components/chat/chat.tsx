'use client';

import { useCallback } from 'react';
import { useConversation } from '@/hooks/use-conversation';
import { useStickToBottom } from '@/hooks/use-stick-to-bottom';
import { ArrowDownIcon, PlusIcon } from '../icons';
import { Composer } from './composer';
import { EmptyState } from './empty-state';
import { ErrorNotice } from './error-notice';
import { MessageList } from './message-list';
import { ModelSelect } from './model-select';
import { StatusLine } from './status-line';
import styles from './chat.module.css';

type ChatProps = {
  chosenModel: string | undefined;
  onChooseModel: (model: string) => void;
  onNewChat: () => void;
};

export function Chat({ chosenModel, onChooseModel, onNewChat }: ChatProps) {
  const conversation = useConversation(chosenModel);
  const { messages, sendMessage, regenerate, stop, status, error, clearError } = conversation;
  const { scrollRef, contentRef, isAtBottom, scrollToBottom } = useStickToBottom();
  const isBusy = status === 'submitted' || status === 'streaming';

  // The buttons in the log go away when they are pressed; the focus stays near them.
  const focusLog = useCallback(() => scrollRef.current?.focus({ preventScroll: true }), [scrollRef]);
  const retry = useCallback(() => {
    focusLog();
    void regenerate();
  }, [regenerate, focusLog]);

  function send(text: string) {
    scrollToBottom();
    void sendMessage({ text });
  }

  function sendSuggestion(text: string) {
    focusLog();
    send(text);
  }

  return (
    <>
      {/* The keyboard scrolls what it can focus. */}
      <div ref={scrollRef} className={styles.log} role="log" aria-label="Conversation" aria-busy={isBusy} tabIndex={0}>
        <div ref={contentRef} className={styles.column}>
          {messages.length === 0 && !error && <EmptyState onPick={sendSuggestion} />}
          <MessageList conversation={conversation} isBusy={isBusy} focusLog={focusLog} onRetry={retry} />
          {error && <ErrorNotice error={error} onRetry={retry} onDismiss={clearError} />}
        </div>
      </div>

      <div className={styles.dock}>
        {!isAtBottom && (
          <button type="button" className={styles.jump} onClick={scrollToBottom}>
            <ArrowDownIcon />
            <span className="visually-hidden">Jump to the latest message</span>
          </button>
        )}
        <div className={styles.column}>
          <Composer isBusy={isBusy} onSend={send} onStop={() => void stop()}>
            <ModelSelect value={chosenModel} onChange={onChooseModel} />
            {messages.length > 0 && (
              <button type="button" className={styles.quiet} onClick={onNewChat}>
                <PlusIcon /> New chat
              </button>
            )}
          </Composer>
        </div>
      </div>
      <StatusLine status={status} />
    </>
  );
}
