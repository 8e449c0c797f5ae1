'use client';

import { memo } from 'react';
import type { ToolActions } from '@/hooks/use-conversation';
import type { Place } from '@/lib/chats';
import { sourcesOf } from '@/lib/sources';
import { STRINGS } from '@/lib/strings';
import type { ChatMessage } from '@/lib/types';
import { MessageActions } from './message-actions';
import { MessageEditor } from './message-editor';
import { MessagePart } from './message-part';
import { Sources } from './sources';
import styles from './message.module.css';

/** What can be done with a message. The same object for all of them, for as long as nothing changes. */
export type MessageHandlers = {
  beginEdit: (messageId: string) => void;
  endEdit: () => void;
  edit: (message: ChatMessage, text: string) => void;
  regenerate: (messageId: string) => void;
  showVersion: (node: number) => void;
};

type MessageItemProps = {
  message: ChatMessage;
  isStreaming: boolean;
  isEdited: boolean;
  isFound: boolean;
  isLast: boolean;
  /** Why the answer ended early, where it did. */
  ending: string | undefined;
  /** Which version of the message this is, where the server keeps them. */
  place: Place | undefined;
  /** Present where the visitor can still answer the tool calls. */
  toolActions: ToolActions | undefined;
  /** Absent while an answer arrives. */
  handlers: MessageHandlers | undefined;
};

/** Earlier messages keep their identity while the last one grows, so only that one renders again. */
export const MessageItem = memo(function MessageItem(props: MessageItemProps) {
  const { message, isStreaming, isEdited, isFound, isLast, ending, place, toolActions, handlers } = props;
  const isAnswer = message.role === 'assistant';
  return (
    <article
      className={styles.message}
      data-role={message.role}
      data-last={isLast}
      data-message-id={message.id}
      data-found={isFound}
      data-editing={isEdited}
      data-testid={`message-${message.role}`}
    >
      <h2 className="visually-hidden">{STRINGS.speakers[message.role]}</h2>
      {isEdited && handlers ? (
        <MessageEditor message={message} onSave={handlers.edit} onCancel={handlers.endEdit} />
      ) : (
        <div className={styles.body}>
          {message.parts.map((part, index) => (
            <MessagePart
              key={index}
              part={part}
              role={message.role}
              isStreaming={isStreaming}
              toolActions={toolActions}
            />
          ))}
        </div>
      )}
      {isAnswer && <Sources sources={sourcesOf(message)} />}
      {ending && <p className={styles.ending}>{ending}</p>}
      {!isStreaming && !isEdited && message.role !== 'system' && (
        <MessageActions message={message} place={place} handlers={handlers} />
      )}
    </article>
  );
});
