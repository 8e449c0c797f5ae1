'use client';

import { isDataUIPart, isToolUIPart } from 'ai';
import type { ToolActions } from '@/hooks/use-conversation';
import type { ChatMessage, ChatPart } from '@/lib/types';
import { DataPart } from './data/data-part';
import { FilePart } from './file-part';
import styles from './message-part.module.css';
import { Reasoning } from './reasoning';
import { STRINGS } from './strings';
import { ToolCall } from './tool/tool-call';

type MessagePartProps = {
  part: ChatPart;
  role: ChatMessage['role'];
  /** Whether the message is still arriving. */
  isStreaming: boolean;
  /** Present where the visitor can still answer this message's tool calls. */
  toolActions: ToolActions | undefined;
};

/** One part of a message; the texts and the sources of an answer stand in `MessageBody`. */
export function MessagePart({ part, role, isStreaming, toolActions }: MessagePartProps) {
  if (isToolUIPart(part)) return <ToolCall part={part} isStreaming={isStreaming} actions={toolActions} />;
  if (isDataUIPart(part)) return <DataPart name={part.type.slice('data-'.length)} data={part.data} />;
  switch (part.type) {
    case 'text':
      return part.text === '' ? null : (
        <p className={styles.plain} dir="auto">
          {part.text}
        </p>
      );
    case 'reasoning':
      return <Reasoning text={part.text} isStreaming={isStreaming && part.state === 'streaming'} />;
    case 'file':
    case 'reasoning-file':
      return <FilePart file={part} isSmall={role === 'user'} />;
    case 'steering-message':
      return (
        <div className={styles.steering}>
          <span className={styles.steeringLabel}>{STRINGS.youWroteMeanwhile}</span>
          {part.parts.map((inner, index) => (
            <MessagePart key={index} part={inner} role="user" isStreaming={false} toolActions={undefined} />
          ))}
        </div>
      );
    case 'source-url':
    case 'source-document':
      return null; // Gathered below the answer.
    case 'step-start':
    case 'custom':
      return null; // Nothing to read: a boundary, and what one provider says to its own library.
    default:
      part satisfies never; // A new kind of part stops the build here; in the browser it is left out.
      return null;
  }
}
