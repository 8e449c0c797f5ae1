import type { SavedChat } from './chats';
import type { ChatMessage } from './types';

/** Upper and lower case, and forms of a character, are the same, as they are to the server's search. */
function fold(text: string): string {
  return text.normalize('NFKC').toLowerCase();
}

function textOf(message: ChatMessage): string {
  return fold(message.parts.map((part) => (part.type === 'text' ? part.text : '')).join('\n'));
}

/**
 * The message with the most of the words: on the path that is shown if one there has as many, else on any path.
 * Undefined where only the title has them.
 */
export function findMessage(chat: SavedChat, find: string): { message: ChatMessage; place: { node: number } } | undefined {
  const words = fold(find).split(/\s+/).filter(Boolean);
  const shown = new Set(chat.places.map((place) => place.node));
  let best: { message: ChatMessage; place: { node: number } } | undefined;
  let bestScore = 0;
  for (const entry of chat.tree ?? []) {
    const text = textOf(entry.message);
    const count = words.filter((word) => text.includes(word)).length;
    const score = count === 0 ? 0 : count * 2 + (shown.has(entry.place.node) ? 1 : 0);
    if (score > bestScore) {
      best = entry;
      bestScore = score;
    }
  }
  return best;
}
