'use client';

import { isDataUIPart, isToolUIPart } from 'ai';
import type { ToolActions } from '@/hooks/use-conversation';
import type { ChatMessage, ChatPart } from '@/lib/types';
import { DataPart } from './data-part';
import { FilePart } from './file-part';
import { Markdown } from './markdown';
import { Reasoning } from './reasoning';
import { ToolCall } from './tool-call';
import styles from './message-part.module.css';

type MessagePartProps = {
  part: ChatPart;
  role: ChatMessage['role'];
  /** Whether the message is still arriving. */
  isStreaming: boolean;
  /** Present where the visitor can still answer this message's tool calls. */
  toolActions: ToolActions | undefined;
};

export function MessagePart({ part, role, isStreaming, toolActions }: MessagePartProps) {
  if (isToolUIPart(part)) return <ToolCall part={part} isStreaming={isStreaming} actions={toolActions} />;
  if (isDataUIPart(part)) return <DataPart name={part.type.slice('data-'.length)} data={part.data} />;
  switch (part.type) {
    case 'text':
      if (part.text === '') return null; // Opened, and nothing in it yet.
      return role === 'assistant' ? <Markdown text={part.text} /> : <p className={styles.plain}>{part.text}</p>;
    case 'reasoning':
      return <Reasoning text={part.text} isStreaming={isStreaming && part.state === 'streaming'} />;
    case 'file':
    case 'reasoning-file':
      return <FilePart file={part} />;
    case 'steering-message':
      return (
        <div className={styles.steering}>
          <span className={styles.steeringLabel}>Meanwhile you wrote</span>
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
