'use client';

import { useMemo } from 'react';
import type { Conversation, ToolActions } from '@/hooks/use-conversation';
import { savedEndingOf } from '@/lib/ending';
import { hasContent } from '@/lib/message-text';
import { STRINGS } from '@/lib/strings';
import { MessageItem, type MessageHandlers } from './message';
import styles from './message.module.css';
import { TypingDots } from './typing-dots';

/** So many messages at the end of a chat are drawn at once when it opens; those before them when somebody comes near. */
const AT_ONCE = 12;

type MessageListProps = {
  conversation: Pick<Conversation, 'messages' | 'error' | 'endings' | 'places' | 'toolActions'>;
  isBusy: boolean;
  /** The message that is being edited. */
  editedId: string | undefined;
  /** The message that was searched for. */
  found: string | undefined;
  handlers: MessageHandlers;
  moveFocus: () => void;
};

export function MessageList({ conversation, isBusy, editedId, found, handlers, moveFocus }: MessageListProps) {
  const { messages, error, endings, places, toolActions } = conversation;
  const actions = useMemo<ToolActions>(
    () => ({
      approve: (...decision) => {
        moveFocus();
        toolActions.approve(...decision);
      },
      answer: (...answer) => {
        moveFocus();
        toolActions.answer(...answer);
      },
    }),
    [toolActions, moveFocus],
  );

  const last = messages.at(-1);
  const isSettled = !isBusy && !error;
  const isEmptyAnswer = isSettled && last?.role === 'assistant' && !hasContent(last);
  return (
    <>
      {(messages.length > 0 || error) && <h1 className="visually-hidden">Chat</h1>}
      {messages.length > 0 && (
        <div className={styles.list}>
          {messages.map((message, index) => {
            const isLast = message === last;
            const place = places.get(message.id);
            const ending = endings[message.id] ?? (isLast && !isSettled ? undefined : savedEndingOf(place));
            return (
              <MessageItem
                key={message.id}
                message={message}
                isStreaming={isBusy && isLast}
                isFar={index < messages.length - AT_ONCE}
                isEdited={message.id === editedId}
                isFound={message.id === found}
                ending={ending ?? (isEmptyAnswer && isLast ? STRINGS.emptyAnswer : undefined)}
                place={place}
                toolActions={isLast && isSettled && !ending ? actions : undefined}
                handlers={handlers}
                isLast={isLast}
              />
            );
          })}
        </div>
      )}
      {isBusy && <TypingDots isQuiet={hasContent(last)} />}
    </>
  );
}
