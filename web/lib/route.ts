import { newChatId } from './new-id';

/**
 * Which chat is shown. The address is `/?chat=ID`, and `/` for a new one: whoever serves files can serve it.
 * `&find=WORDS` goes to the message that has them.
 */
export type Route = { chatId: string; isNew: boolean; find: string };

/** While the page is built nobody knows its address. */
const UNKNOWN: Route = { chatId: '', isNew: true, find: '' };

let current: Route | undefined;
const listeners = new Set<() => void>();

function readRoute(): Route {
  const query = new URLSearchParams(window.location.search);
  const chatId = query.get('chat');
  return chatId
    ? { chatId, isNew: false, find: query.get('find') ?? '' }
    : { chatId: newChatId(), isNew: true, find: '' };
}

function change(route: Route): void {
  current = route;
  for (const listener of listeners) listener();
}

function onPopState(): void {
  const next = readRoute();
  if (current && !next.isNew && next.chatId === current.chatId && next.find === current.find) return;
  change(next);
}

export const route = {
  subscribe(listener: () => void): () => void {
    if (listeners.size === 0) window.addEventListener('popstate', onPopState);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) window.removeEventListener('popstate', onPopState);
    };
  },
  get: (): Route => (current ??= readRoute()),
  getUnknown: (): Route => UNKNOWN,
};

export function hrefOf(chatId: string, find = ''): string {
  const query = new URLSearchParams({ chat: chatId });
  if (find) query.set('find', find);
  return `${window.location.pathname}?${query}`;
}

export function openChat(chatId: string, find = ''): void {
  if (current?.chatId === chatId && !current.isNew && current.find === find) return;
  window.history.pushState(null, '', hrefOf(chatId, find));
  change({ chatId, isNew: false, find });
}

export function openNewChat(): void {
  if (window.location.search !== '') window.history.pushState(null, '', window.location.pathname);
  change(readRoute());
}

/** The first message of a new chat has been sent: from now on it has its address, and nothing is loaded anew. */
export function nameNewChat(chatId: string): void {
  if (current?.chatId !== chatId || !current.isNew) return;
  window.history.pushState(null, '', hrefOf(chatId));
  change({ chatId, isNew: false, find: '' });
}

/** The chat that is shown is not kept: nothing could be loaded by its address. */
export function forgetAddress(): void {
  if (current === undefined || current.isNew) return;
  window.history.replaceState(null, '', window.location.pathname);
  change({ ...current, isNew: true });
}
