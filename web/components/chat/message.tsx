'use client';

import { memo } from 'react';
import type { ToolActions } from '@/hooks/use-conversation';
import type { ChatMessage } from '@/lib/types';
import { MessageBody } from '../message/message-body';
import { MessageActions } from './message-actions';
import styles from './message.module.css';

const SPEAKERS: Record<ChatMessage['role'], string> = { user: 'You', assistant: 'Assistant', system: 'System' };

type MessageItemProps = {
  message: ChatMessage;
  isStreaming: boolean;
  /** Whether it is out of sight when it is first drawn. */
  isFar: boolean;
  /** Why the answer ended early, where it did. */
  ending: string | undefined;
  /** Present where the visitor can still answer the tool calls. */
  toolActions: ToolActions | undefined;
  onRegenerate: (() => void) | undefined;
};

/** Earlier messages keep their identity while the last one grows, so only that one renders again. */
export const MessageItem = memo(function MessageItem(props: MessageItemProps) {
  const { message, isStreaming, isFar, ending, toolActions, onRegenerate } = props;
  const isAnswer = message.role === 'assistant';
  return (
    <article className={styles.message} data-role={message.role} data-far={isFar} data-testid={`message-${message.role}`}>
      <h2 className="visually-hidden">{SPEAKERS[message.role]}</h2>
      <MessageBody message={message} isStreaming={isStreaming} toolActions={toolActions} isFar={isFar} />
      {ending && <p className={styles.ending}>{ending}</p>}
      {isAnswer && !isStreaming && <MessageActions message={message} onRegenerate={onRegenerate} />}
    </article>
  );
});
