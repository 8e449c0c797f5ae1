'use client';

import { memo, useRef } from 'react';
import type { ToolActions } from '@/hooks/use-conversation';
import type { Place } from '@/lib/chats';
import { STRINGS } from '@/lib/strings';
import type { ChatMessage } from '@/lib/types';
import { MessageBody } from '../message/message-body';
import { useNearness } from '../message/use-nearness';
import { MessageActions } from './message-actions';
import { MessageEditor } from './message-editor';
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
  /** Whether what is edited must not be sent now. */
  isEditHeld: boolean;
  isFound: boolean;
  isLast: boolean;
  /** Whether it is out of sight when it is first drawn: its words stand there, and all else comes when somebody comes near. */
  isFar: boolean;
  /** Why the answer ended early, where it did. */
  ending: string | undefined;
  /** Which version of the message this is, where the server keeps them. */
  place: Place | undefined;
  /** Present where the visitor can still answer the tool calls. */
  toolActions: ToolActions | undefined;
  handlers: MessageHandlers;
};

/** Earlier messages keep their identity while the last one grows, so only that one renders again. */
export const MessageItem = memo(function MessageItem(props: MessageItemProps) {
  const { message, isStreaming, isFar, isEdited, isEditHeld, isFound, isLast, ending, place, toolActions, handlers } = props;
  const article = useRef<HTMLElement>(null);
  const isNear = useNearness(article, isFar) || isStreaming;
  return (
    <article
      ref={article}
      className={styles.message}
      data-role={message.role}
      data-last={isLast}
      data-far={isFar}
      data-message-id={message.id}
      data-found={isFound}
      data-editing={isEdited}
      data-testid={`message-${message.role}`}
    >
      <h2 className="visually-hidden">{STRINGS.speakers[message.role]}</h2>
      {isEdited ? (
        <MessageEditor message={message} isHeld={isEditHeld} onSave={handlers.edit} onCancel={handlers.endEdit} />
      ) : (
        <div className={styles.body}>
          <MessageBody message={message} isStreaming={isStreaming} toolActions={toolActions} isNear={isNear} />
        </div>
      )}
      {ending && <p className={styles.ending}>{ending}</p>}
      {isNear && !isStreaming && !isEdited && message.role !== 'system' && (
        <MessageActions message={message} place={place} handlers={handlers} />
      )}
    </article>
  );
});
