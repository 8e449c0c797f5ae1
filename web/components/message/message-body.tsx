'use client';

import { useMemo, useRef } from 'react';
import type { ToolActions } from '@/hooks/use-conversation';
import { piecesOf, textOfAnswer } from '@/lib/answer-parts';
import { sourcesOf, type Source } from '@/lib/sources';
import type { ChatMessage } from '@/lib/types';
import { AnswerText, useMarkdownSoon } from './answer-text';
import { CitedSources } from './citation';
import { MessagePart } from './message-part';
import styles from './message-body.module.css';
import { Sources } from './sources';

type MessageBodyProps = {
  message: ChatMessage;
  /** Whether the message is still arriving. */
  isStreaming: boolean;
  /** Present where the visitor can still answer this message's tool calls. */
  toolActions: ToolActions | undefined;
  /** Whether it is near to what can be seen; until then its words stand there as they are. */
  isNear: boolean;
};

/** All that a message says, and the sources of an answer. */
export function MessageBody({ message, isStreaming, toolActions, isNear }: MessageBodyProps) {
  useMarkdownSoon(true);
  const { parts, role } = message;
  const isAnswer = role === 'assistant';
  const sources = useSources(parts, isAnswer);
  const pieces = useMemo(() => (isAnswer ? piecesOf(parts, sources) : parts.map(asPiece)), [parts, sources, isAnswer]);
  if (!isNear) {
    return (
      <div className={styles.plain} dir="auto">
        {textOfAnswer(message)}
      </div>
    );
  }
  return (
    <CitedSources value={sources}>
      <div className={styles.body}>
        {pieces.map((piece) =>
          piece.kind === 'text' ? (
            <AnswerText key={piece.key} text={piece.text} isStreaming={isStreaming && piece === pieces.at(-1)} />
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

/** The same sources are the same list: with another one, React would look through all of the answer for its marks. */
function useSources(parts: ChatMessage['parts'], isAnswer: boolean): readonly Source[] {
  const last = useRef<readonly Source[]>([]);
  const found = useMemo(() => (isAnswer ? sourcesOf({ parts }) : []), [parts, isAnswer]);
  if (JSON.stringify(found) !== JSON.stringify(last.current)) last.current = found;
  return last.current;
}

function asPiece(part: ChatMessage['parts'][number], key: number) {
  return { kind: 'part', key, part } as const;
}
