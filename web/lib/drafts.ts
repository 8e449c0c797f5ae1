import { forgetAll, recall, remember } from './storage';

const PREFIX = 'draft:';

let isOver = false;

/** Keeps what is being written in a field, in this browser. An empty text is not kept. */
export function keepDraft(name: string, text: string): void {
  if (isOver) return;
  remember(PREFIX + name, text.trim() === '' ? null : text);
}

export function draftOf(name: string): string | null {
  return recall(PREFIX + name);
}

/** Forgets all drafts, and keeps none any more: whoever signs out leaves nothing to the next one at this browser. */
export function forgetDrafts(): void {
  isOver = true; // The page is left now, and what was typed last is kept then.
  forgetAll(PREFIX);
}
