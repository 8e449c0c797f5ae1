import { isToolUIPart } from 'ai';
import type { EndedAnswer } from '@/hooks/use-conversation';
import { hasContent, writtenText } from '@/lib/message-text';
import { STRINGS } from '@/lib/strings';

/** How much of an answer is read out; all of it can be read in the log. */
const BEGINNING = 160;

type StatusLineProps = {
  isBusy: boolean;
  ended: EndedAnswer | undefined;
};

/** Says once, to those who cannot see it, that an answer has come to its end, and which. An error has its own notice. */
export function StatusLine({ isBusy, ended }: StatusLineProps) {
  return (
    <p className="visually-hidden" role="status" data-testid="status">
      {!isBusy && ended && wordsOf(ended)}
    </p>
  );
}

function wordsOf({ message, ending }: EndedAnswer): string {
  if (ending === STRINGS.endings.stopped) return STRINGS.status.stopped;
  if (ending) return ending;
  const last = message.parts.at(-1);
  if (last && isToolUIPart(last) && last.state === 'approval-requested') return STRINGS.status.waiting;
  if (!hasContent(message)) return STRINGS.emptyAnswer;
  const text = writtenText(message);
  return STRINGS.status.arrived(text.length > BEGINNING ? `${text.slice(0, BEGINNING)}…` : text);
}
