import type { FinishReason } from 'ai';

/** What a visitor should know of an answer that ended otherwise than by itself. */
const WORDS: Record<FinishReason, string | undefined> = {
  stop: undefined,
  'tool-calls': undefined,
  error: undefined, // The error has a notice of its own.
  other: undefined,
  interrupted: 'The answer broke off before its end.',
  length: 'Cut off: the answer reached its longest length.',
  'content-filter': 'The model declined to go on.',
};

export function endingOf(isAbort: boolean, finishReason: FinishReason | undefined): string | undefined {
  if (isAbort) return 'Stopped.';
  return finishReason && WORDS[finishReason];
}
