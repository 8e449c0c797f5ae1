'use client';

import { useMemo } from 'react';
import type { ToolActions, useConversation } from '@/hooks/use-conversation';
import type { ChatMessage } from '@/lib/types';
import { MessageItem } from './message';
import styles from './message.module.css';
import { TypingDots } from './typing-dots';

/** So many messages at the end of a chat are drawn at once when it opens; those before them when somebody comes near. */
const AT_ONCE = 12;

type MessageListProps = {
  conversation: Pick<ReturnType<typeof useConversation>, 'messages' | 'error' | 'endings' | 'toolActions'>;
  isBusy: boolean;
  focusLog: () => void;
  onRetry: () => void;
};

export function MessageList({ conversation, isBusy, focusLog, onRetry }: MessageListProps) {
  const { messages, error, endings, toolActions } = conversation;
  const actions = useMemo<ToolActions>(
    () => ({
      approve: (...decision) => {
        focusLog();
        toolActions.approve(...decision);
      },
      answer: (...answer) => {
        focusLog();
        toolActions.answer(...answer);
      },
    }),
    [toolActions, focusLog],
  );

  const last = messages.at(-1);
  const isSettled = !isBusy && !error;
  return (
    <>
      {(messages.length > 0 || error) && <h1 className="visually-hidden">Chat</h1>}
      {messages.length > 0 && (
        <div className={styles.list}>
          {messages.map((message, index) => (
            <MessageItem
              key={message.id}
              message={message}
              isStreaming={isBusy && message === last}
              isFar={index < messages.length - AT_ONCE}
              ending={endings[message.id]}
              toolActions={message === last && isSettled && !endings[message.id] ? actions : undefined}
              onRegenerate={message === last && isSettled ? onRetry : undefined}
            />
          ))}
        </div>
      )}
      {isBusy && <TypingDots isQuiet={hasContent(last)} />}
    </>
  );
}

/** Whether something of the answer can be seen already. */
function hasContent(message: ChatMessage | undefined): boolean {
  if (message?.role !== 'assistant') return false;
  return message.parts.some((part) => part.type !== 'step-start' && part.type !== 'custom');
}
