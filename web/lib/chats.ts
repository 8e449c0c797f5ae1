import type { FinishReason } from 'ai';
import type { MessageStatus } from './ending';
import { serverHeaders } from './headers';
import { fetchOrThrow } from './refusal';
import type { ChatMessage } from './types';

/** A chat in the list. */
export type ChatSummary = {
  id: string;
  title: string | null;
  createdAt: string;
  updatedAt: string;
  metadata: Record<string, unknown>;
  isAnswering: boolean;
};

/** Where a message stands among its versions, and how it ended. */
export type Place = {
  id: string;
  node: number;
  parent: number | null;
  siblings: number[];
  index: number;
  status?: MessageStatus;
  finishReason?: FinishReason | null;
};

export type SavedChat = ChatSummary & {
  messages: ChatMessage[];
  places: Place[];
  /** The messages of all paths, where they were asked for. */
  tree?: { message: ChatMessage; place: Place }[];
};

export type ChatPage = { chats: ChatSummary[]; nextCursor: string | null };

const PAGE_SIZE = 40;
/** The most chats that a server lists at once. */
const LARGEST_PAGE = 100;

function urlOf(id: string, rest = ''): string {
  return `/api/chats/${encodeURIComponent(id)}${rest}`;
}

async function requestJson<T>(url: string, method = 'GET', body?: unknown): Promise<T> {
  const headers = body === undefined ? serverHeaders() : { ...serverHeaders(), 'content-type': 'application/json' };
  const response = await fetchOrThrow(url, {
    method,
    headers,
    // What was changed is changed, also when the page is left or loaded again at once.
    keepalive: method !== 'GET',
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  return (await response.json()) as T;
}

/** The last change of each chat that is on its way. */
const onTheirWay = new Map<string, Promise<unknown>>();

/** Changes of one chat go to the server one after the other: of two at once, it might keep the first. */
function inTurn<T>(id: string, act: () => Promise<T>): Promise<T> {
  const before = onTheirWay.get(id);
  const change = before ? before.then(act) : act();
  const ended = change.then(
    () => undefined,
    () => undefined,
  );
  onTheirWay.set(id, ended);
  void ended.then(() => onTheirWay.get(id) === ended && onTheirWay.delete(id));
  return change;
}

export function listChats(search: string, cursor: string | null, limit = PAGE_SIZE): Promise<ChatPage> {
  const query = new URLSearchParams({ limit: String(limit) });
  if (search) query.set('search', search);
  if (cursor) query.set('cursor', cursor);
  return requestJson(`/api/chats?${query}`);
}

/** Lists at least so many chats from the top, where there are so many. */
export async function listFromTop(search: string, count: number): Promise<ChatPage> {
  let page: ChatPage = { chats: [], nextCursor: null };
  do {
    const limit = Math.min(Math.max(count - page.chats.length, PAGE_SIZE), LARGEST_PAGE);
    const { chats, nextCursor } = await listChats(search, page.nextCursor, limit);
    page = { chats: [...page.chats, ...chats], nextCursor };
  } while (page.nextCursor !== null && page.chats.length < count);
  return page;
}

export function loadChat(id: string, { hasTree = false } = {}): Promise<SavedChat> {
  return requestJson(urlOf(id, hasTree ? '?tree=1' : ''));
}

export function changeChat(
  id: string,
  change: { title?: string; metadata?: Record<string, unknown> },
): Promise<ChatSummary> {
  return inTurn(id, () => requestJson(urlOf(id), 'PATCH', change));
}

export async function deleteChat(id: string): Promise<void> {
  await fetchOrThrow(urlOf(id), { method: 'DELETE', headers: serverHeaders(), keepalive: true });
}

/** Shows the path through a message, down to the latest one after it. */
export function choosePath(id: string, node: number): Promise<SavedChat> {
  return inTurn(id, () => requestJson(urlOf(id, '/path'), 'POST', { node }));
}

/** Stops the chat's answer wherever it is made: leaving its stream does not, as a reloaded page leaves it, too. */
export async function stopAnswer(id: string): Promise<void> {
  const url = `/api/chat/${encodeURIComponent(id)}/stop`;
  await fetchOrThrow(url, { method: 'POST', headers: serverHeaders(), keepalive: true });
}
