'use client';

import { useChat } from '@ai-sdk/react';
import { APICallError } from 'ai';
import { useCallback, useMemo, useRef, useState } from 'react';
import { useServer } from '@/hooks/use-server';
import { useStickToBottom } from '@/hooks/use-stick-to-bottom';
import { endingOf } from '@/lib/ending';
import { errorText } from '@/lib/error-text';
import { shouldSendAutomatically } from '@/lib/send-automatically';
import { createTransport } from '@/lib/transport';
import type { ChatMessage } from '@/lib/types';
import { ArrowDownIcon, PlusIcon } from '../icons';
import { Composer } from './composer';
import { EmptyState } from './empty-state';
import { ErrorNotice } from './error-notice';
import { MessageItem } from './message';
import { ModelSelect } from './model-select';
import { StatusLine } from './status-line';
import type { ToolActions } from './tool-call';
import { TypingDots } from './typing-dots';
import styles from './chat.module.css';

/** Renders at most 25 times a second, however fast the deltas come. */
const RENDER_INTERVAL_MS = 40;

type ChatProps = {
  chosenModel: string | undefined;
  onChooseModel: (model: string) => void;
  onNewChat: () => void;
};

export function Chat({ chosenModel, onChooseModel, onNewChat }: ChatProps) {
  const { askForKey } = useServer();
  const { scrollRef, contentRef, isAtBottom, scrollToBottom } = useStickToBottom();
  const transport = useMemo(() => createTransport(chosenModel), [chosenModel]);
  const [endings, setEndings] = useState<Record<string, string>>({});
  const answeredHere = useRef(new Set<string>());

  const { messages, sendMessage, regenerate, stop, status, error, clearError, ...tools } = useChat<ChatMessage>({
    transport,
    throttle: RENDER_INTERVAL_MS,
    sendAutomaticallyWhen: ({ messages }) => shouldSendAutomatically(messages, answeredHere.current),
    onError: (error) => {
      if (APICallError.isInstance(error) && error.statusCode === 401) askForKey(errorText(error));
    },
    onFinish: ({ message, isAbort, finishReason }) => {
      const ending = endingOf(isAbort, finishReason);
      if (ending) setEndings((known) => ({ ...known, [message.id]: ending }));
    },
  });

  // The buttons in the log go away when they are pressed; the focus stays near them.
  const focusLog = useCallback(() => scrollRef.current?.focus({ preventScroll: true }), [scrollRef]);

  const { addToolApprovalResponse, addToolOutput } = tools;
  const toolActions = useMemo<ToolActions>(
    () => ({
      approve: (id, approved) => {
        focusLog();
        void addToolApprovalResponse({ id, approved });
      },
      answer: (tool, toolCallId, output) => {
        focusLog();
        answeredHere.current.add(toolCallId);
        void addToolOutput({ tool, toolCallId, output });
      },
    }),
    [addToolApprovalResponse, addToolOutput, focusLog],
  );

  const retry = useCallback(() => {
    focusLog();
    void regenerate();
  }, [regenerate, focusLog]);

  function send(text: string) {
    scrollToBottom();
    void sendMessage({ text });
  }

  const isBusy = status === 'submitted' || status === 'streaming';
  const isSettled = !isBusy && !error;
  const last = messages.at(-1);

  return (
    <>
      <div
        ref={scrollRef}
        className={styles.log}
        role="log"
        aria-label="Conversation"
        aria-busy={isBusy}
        // The keyboard scrolls what it can focus.
        tabIndex={0}
      >
        <div ref={contentRef} className={styles.column}>
          {messages.length === 0 && !error ? (
            <EmptyState
              onPick={(text) => {
                focusLog();
                send(text);
              }}
            />
          ) : (
            <h1 className="visually-hidden">Chat</h1>
          )}
          {messages.map((message) => (
            <MessageItem
              key={message.id}
              message={message}
              isStreaming={isBusy && message === last}
              ending={endings[message.id]}
              toolActions={message === last && isSettled && !endings[message.id] ? toolActions : undefined}
              onRegenerate={message === last && isSettled ? retry : undefined}
            />
          ))}
          {isBusy && <TypingDots isQuiet={hasContent(last)} />}
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

/** Whether something of the answer can be seen already. */
function hasContent(message: ChatMessage | undefined): boolean {
  if (message?.role !== 'assistant') return false;
  return message.parts.some((part) => part.type !== 'step-start' && part.type !== 'custom');
}
