import { isToolUIPart, type ChatStatus } from 'ai';
import { useEffect, useRef, useState } from 'react';
import { writtenText } from '@/lib/message-text';
import { STRINGS } from '@/lib/strings';
import type { ChatMessage } from '@/lib/types';

/** How much of an answer is read out; all of it can be read in the log. */
const BEGINNING = 160;

/** Says once, to those who cannot see it, that an answer has come to its end. */
export function StatusLine({ status, message }: { status: ChatStatus; message: ChatMessage | undefined }) {
  const [words, setWords] = useState('');
  const was = useRef(status);
  const isBusy = status === 'submitted' || status === 'streaming';

  useEffect(() => {
    const wasBusy = was.current === 'submitted' || was.current === 'streaming';
    was.current = status;
    if (isBusy) setWords('');
    else if (wasBusy && status === 'ready' && message?.role === 'assistant') setWords(wordsOf(message));
  }, [status, isBusy, message]);

  return (
    <p className="visually-hidden" role="status" data-testid="status">
      {words}
    </p>
  );
}

function wordsOf(message: ChatMessage): string {
  const last = message.parts.at(-1);
  if (last && isToolUIPart(last) && last.state === 'approval-requested') return STRINGS.status.waiting;
  const text = writtenText(message);
  return STRINGS.status.arrived(text.length > BEGINNING ? `${text.slice(0, BEGINNING)}…` : text);
}
