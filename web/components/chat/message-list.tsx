'use client';

import { memo, useMemo } from 'react';
import type { Conversation, ToolActions } from '@/hooks/use-conversation';
import type { ChatMessage } from '@/lib/types';
import { savedEndingOf } from '@/lib/ending';
import { hasContent } from '@/lib/message-text';
import { STRINGS } from '@/lib/strings';
import { MessageItem, type MessageHandlers } from './message';
import styles from './message.module.css';
import { TypingDots } from './typing-dots';

/** So many messages at the end of a chat are drawn at once when it opens; those before them when somebody comes near. */
const AT_ONCE = 12;
/** So many messages are looked at together: of a long chat, React sees few elements while its last answer grows. */
const GROUP = 50;

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
  const begins = messages.flatMap((_, index) => (index % GROUP === 0 ? [index] : []));
  return (
    <>
      {(messages.length > 0 || error) && <h1 className="visually-hidden">Chat</h1>}
      {messages.length > 0 && (
        <div className={styles.list}>
          {begins.map((begin) => (
            <MessageGroup
              key={begin}
              messages={messages.slice(begin, begin + GROUP)}
              // The place from which on messages are drawn at once, within this group.
              near={Math.min(Math.max(messages.length - AT_ONCE - begin, 0), GROUP)}
              state={begin + GROUP < messages.length ? 'earlier' : isBusy ? 'streaming' : error ? 'failed' : 'settled'}
              endings={endings}
              places={places}
              editedId={editedId}
              isEditHeld={isBusy && editedId !== undefined}
              found={found}
              actions={actions}
              handlers={handlers}
            />
          ))}
        </div>
      )}
      {isBusy && <TypingDots isQuiet={hasContent(last)} />}
    </>
  );
}

type MessageGroupProps = Pick<Conversation, 'endings' | 'places'> &
  Pick<MessageListProps, 'editedId' | 'found' | 'handlers'> & {
    messages: readonly ChatMessage[];
    near: number;
    /** Whether what is edited must not be sent now. */
    isEditHeld: boolean;
    /** Whether more follow; else how the last message stands. */
    state: 'earlier' | 'streaming' | 'failed' | 'settled';
    actions: ToolActions;
  };

const MessageGroup = memo(
  function MessageGroup(props: MessageGroupProps) {
    const { messages, near, state, endings, places, editedId, isEditHeld, found, actions, handlers } = props;
    const last = state === 'earlier' ? undefined : messages.at(-1);
    const isSettled = state === 'settled';
    const isEmptyAnswer = isSettled && last?.role === 'assistant' && !hasContent(last);
    return messages.map((message, index) => {
      const isLast = message === last;
      const place = places.get(message.id);
      const ending = endings[message.id] ?? (isLast && !isSettled ? undefined : savedEndingOf(place));
      return (
        <MessageItem
          key={message.id}
          message={message}
          isStreaming={isLast && state === 'streaming'}
          isFar={index < near}
          isEdited={message.id === editedId}
          isEditHeld={isEditHeld && message.id === editedId}
          isFound={message.id === found}
          ending={ending ?? (isEmptyAnswer && isLast ? STRINGS.emptyAnswer : undefined)}
          place={place}
          toolActions={isLast && isSettled && !ending ? actions : undefined}
          handlers={handlers}
          isLast={isLast}
        />
      );
    });
  },
  ({ messages: before, ...restBefore }, { messages: after, ...restAfter }) =>
    before.length === after.length &&
    before.every((message, index) => message === after[index]) &&
    (Object.keys(restAfter) as (keyof typeof restAfter)[]).every((name) => restBefore[name] === restAfter[name]),
);
