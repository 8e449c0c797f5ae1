import type { FinishReason } from 'ai';
import type { Place } from './chats';
import { STRINGS } from './strings';

/** How the server has saved an answer. */
export type MessageStatus = 'whole' | 'partial' | 'aborted' | 'failed' | 'lost' | 'streaming';

const WORDS = STRINGS.endings;

/** What a visitor should know of an answer that ended otherwise than by itself. */
const OF_REASON: Record<FinishReason, string | undefined> = {
  stop: undefined,
  'tool-calls': undefined,
  error: undefined, // The error has a notice of its own.
  other: undefined,
  interrupted: WORDS.brokenOff,
  length: WORDS.tooLong,
  'content-filter': WORDS.declined,
};

const OF_STATUS: Record<MessageStatus, string | undefined> = {
  whole: undefined, // The model may have had a reason all the same.
  streaming: undefined,
  aborted: WORDS.stopped,
  partial: WORDS.brokenOff,
  failed: WORDS.failed,
  lost: WORDS.brokenOff,
};

export function endingOf(isAbort: boolean, finishReason: FinishReason | undefined): string | undefined {
  if (isAbort) return WORDS.stopped;
  return finishReason && OF_REASON[finishReason];
}

/** The same of an answer whose end this page has not seen. */
export function savedEndingOf(place: Place | undefined): string | undefined {
  if (place?.status === undefined) return undefined;
  return OF_STATUS[place.status] ?? (place.finishReason ? OF_REASON[place.finishReason] : undefined);
}
