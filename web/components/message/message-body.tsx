'use client';

import { useMemo } from 'react';
import type { ToolActions } from '@/hooks/use-conversation';
import { piecesOf } from '@/lib/answer-parts';
import { sourcesOf } from '@/lib/sources';
import type { ChatMessage } from '@/lib/types';
import { CitedSources } from './citation';
import { Markdown } from './markdown/markdown';
import { MessagePart } from './message-part';
import styles from './message-body.module.css';
import { Sources } from './sources';

type MessageBodyProps = {
  message: ChatMessage;
  /** Whether the message is still arriving. */
  isStreaming: boolean;
  /** Present where the visitor can still answer this message's tool calls. */
  toolActions: ToolActions | undefined;
};

/** All that a message says, and the sources of an answer. */
export function MessageBody({ message, isStreaming, toolActions }: MessageBodyProps) {
  const { parts, role } = message;
  const isAnswer = role === 'assistant';
  const sources = useMemo(() => (isAnswer ? sourcesOf({ parts }) : []), [parts, isAnswer]);
  const pieces = useMemo(() => (isAnswer ? piecesOf(parts, sources) : parts.map(asPiece)), [parts, sources, isAnswer]);
  return (
    <CitedSources value={sources}>
      <div className={styles.body}>
        {pieces.map((piece) =>
          piece.kind === 'text' ? (
            <Markdown key={piece.key} text={piece.text} isStreaming={isStreaming && piece === pieces.at(-1)} />
          ) : (
            <MessagePart
              key={piece.key}
              part={piece.part}
              role={role}
              isStreaming={isStreaming}
              toolActions={toolActions}
            />
          ),
        )}
      </div>
      <Sources sources={sources} />
    </CitedSources>
  );
}

function asPiece(part: ChatMessage['parts'][number], key: number) {
  return { kind: 'part', key, part } as const;
}
