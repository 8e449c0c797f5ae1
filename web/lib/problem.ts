import { errorText } from './error-text';
import { Refusal } from './refusal';
import { STRINGS } from './strings';

/** What went wrong, in words, and what can be done about it. */
export type Problem = {
  text: string;
  /** When it makes sense to try again, in milliseconds since 1970. */
  retryAt?: number;
  /** The chat went on elsewhere, or is being answered: it has to be loaded to be seen as it is. */
  isOutdated: boolean;
};

/** Statuses after which the same request may succeed later. */
const LATER = new Set([408, 429, 503]);

export function problemOf(error: Error): Problem {
  if (!(error instanceof Refusal)) {
    const isLost = error instanceof TypeError;
    return { text: isLost && !navigator.onLine ? STRINGS.errors.offline : errorText(error), isOutdated: false };
  }
  if (error.status === 401) return { text: STRINGS.errors.stranger, isOutdated: false };
  return {
    text: error.status === 413 ? `${error.message} ${STRINGS.errors.tooLarge}` : error.message,
    retryAt: LATER.has(error.status) ? error.retryAt : undefined,
    isOutdated: error.status === 409,
  };
}
