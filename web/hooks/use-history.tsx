'use client';

import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { changeChat, deleteChat, listChats, listFromTop, type ChatSummary } from '@/lib/chats';
import { Refusal } from '@/lib/refusal';
import { forgetAddress, nameNewChat, route } from '@/lib/route';
import { useServer } from './use-server';

/** `off`: this server keeps no chats. */
type Status = 'loading' | 'ready' | 'failed' | 'off';

type History = {
  status: Status;
  chats: ChatSummary[];
  /** Of every chat that was listed or opened: an open chat need not be in the list. */
  titles: ReadonlyMap<string, string | null>;
  hasMore: boolean;
  /** What is searched for. */
  search: string;
  /** What `chats` were found by: until the answer is there, not yet what is searched for. */
  listedFor: string;
  setSearch: (words: string) => void;
  refresh: () => void;
  loadMore: () => void;
  /** A chat has got its first or another message: it has an address, and stands at the top from now on. */
  note: (id: string, title: string) => void;
  /** A chat was opened, and this is its title as the server had it. */
  noteTitle: (id: string, title: string | null) => void;
  /** A chat is not being answered any more. */
  noteEnd: (id: string) => void;
  rename: (id: string, title: string) => Promise<void>;
  remove: (id: string) => Promise<void>;
};

/** What was done to a chat here, of which the lists up to the request `until` may not know. */
type Change = {
  id: string;
  title?: string;
  until: number;
  /** `isAll`: the list is the beginning of all chats, and not what a search has found, or what follows. */
  apply: (chats: ChatSummary[], isAll: boolean) => ChatSummary[];
};

const SEARCH_DELAY_MS = 200;

const HistoryContext = createContext<History | null>(null);

/** The saved chats of this visitor. */
export function HistoryProvider({ children }: { children: ReactNode }) {
  const { state: server, noteStranger } = useServer();
  const [status, setStatus] = useState<Status>('loading');
  const [chats, setChats] = useState<ChatSummary[]>([]);
  const [titles, setTitles] = useState<History['titles']>(new Map());
  const [cursor, setCursor] = useState<string | null>(null);
  const [search, setSearch] = useState('');
  const lastRequest = useRef(0);
  const shownSearch = useRef('');
  const changes = useRef<Change[]>([]);
  const [listedFor, setListedFor] = useState('');

  const load = useCallback(
    async (words: string, after: string | null, count = 0) => {
      const request = ++lastRequest.current;
      try {
        const listed = await (after === null ? listFromTop(words, count) : listChats(words, after));
        if (request !== lastRequest.current) return; // A later one is on its way.
        changes.current = changes.current.filter(({ until }) => until >= request);
        const isAll = words === '' && after === null;
        const page = changes.current.reduce((list, { apply }) => apply(list, isAll), joined([], listed.chats));
        setChats((known) => (after === null ? page : joined(known, page)));
        setTitles((known) => new Map([...known, ...page.map(({ id, title }) => [id, title] as const)]));
        setCursor(listed.nextCursor);
        setListedFor(words);
        setStatus('ready');
      } catch (error) {
        if (request !== lastRequest.current) return;
        if (error instanceof Refusal && error.status === 401) noteStranger(error);
        setStatus(error instanceof Refusal && error.status === 404 ? 'off' : 'failed');
      }
    },
    [noteStranger],
  );

  const shownCount = useRef(0);
  useEffect(() => {
    shownCount.current = chats.length;
  }, [chats]);
  // Who has scrolled down a long list stays where they are.
  const refresh = useCallback(() => void load(shownSearch.current.trim(), null, shownCount.current), [load]);
  const loadMore = useCallback(() => void load(shownSearch.current.trim(), cursor), [load, cursor]);

  const isReachable = server.status === 'ready' || server.status === 'unknown';
  useEffect(() => {
    if (!isReachable) return;
    const words = search.trim();
    const timer = setTimeout(
      () => {
        shownSearch.current = words;
        void load(words, null);
      },
      words === shownSearch.current ? 0 : SEARCH_DELAY_MS,
    );
    return () => clearTimeout(timer);
  }, [search, isReachable, load]);

  useEffect(() => {
    const onVisible = () => {
      if (document.visibilityState === 'visible' && isReachable) refresh();
    };
    document.addEventListener('visibilitychange', onVisible);
    return () => document.removeEventListener('visibilitychange', onVisible);
  }, [refresh, isReachable]);

  const change = useCallback((next: Change) => {
    changes.current.push(next);
    setChats((known) => next.apply(known, shownSearch.current === ''));
  }, []);

  const setTitle = useCallback((id: string, title: string | null) => {
    setTitles((known) => new Map([...known, [id, title]]));
  }, []);

  const noteTitle = useCallback(
    (id: string, title: string | null) => {
      const renamed = changes.current.findLast((one) => one.id === id && one.title !== undefined);
      setTitle(id, renamed?.title ?? title);
    },
    [setTitle],
  );

  const asking = useRef(new Map<string, Change>());
  const named = useRef(new Set<string>());
  const note = useCallback(
    (id: string, title: string) => {
      nameNewChat(id);
      named.current.add(id);
      const short = title.slice(0, 80);
      setTitles((known) => (known.has(id) ? known : new Map([...known, [id, short]])));
      const asked: Change = { id, until: Infinity, apply: (list, isAll) => withAsked(list, id, short, isAll) };
      asking.current.set(id, asked);
      change(asked);
    },
    [change],
  );

  // A chat that was begun before it was known that the server keeps none has no address.
  useEffect(() => {
    if (status === 'off' && named.current.has(route.get().chatId)) forgetAddress();
  }, [status]);

  const noteEnd = useCallback(
    (id: string) => {
      const asked = asking.current.get(id);
      if (asked) asked.until = lastRequest.current;
      asking.current.delete(id);
      setChats((known) => known.map((chat) => (chat.id === id ? { ...chat, isAnswering: false } : chat)));
      refresh();
    },
    [refresh],
  );

  const rename = useCallback(
    async (id: string, title: string) => {
      const renamed: Change = { id, title, until: Infinity, apply: (list) => withTitle(list, id, title) };
      change(renamed);
      setTitle(id, title);
      try {
        await changeChat(id, { title });
        renamed.until = lastRequest.current;
      } catch (error) {
        changes.current = changes.current.filter((one) => one !== renamed);
        refresh();
        throw error;
      }
    },
    [change, setTitle, refresh],
  );

  const remove = useCallback(
    async (id: string) => {
      await deleteChat(id);
      changes.current = changes.current.filter((one) => one.id !== id);
      change({ id, until: lastRequest.current, apply: (list) => list.filter((chat) => chat.id !== id) });
    },
    [change],
  );

  const history = useMemo(
    () => {
      const list = { status, chats, titles, hasMore: cursor !== null, search, listedFor };
      return { ...list, setSearch, refresh, loadMore, note, noteTitle, noteEnd, rename, remove };
    },
    [status, chats, titles, cursor, search, listedFor, refresh, loadMore, note, noteTitle, noteEnd, rename, remove],
  );
  return <HistoryContext value={history}>{children}</HistoryContext>;
}

/** A chat that is answered stands at the top of all; what a search has found stays where it is. */
function withAsked(list: ChatSummary[], id: string, title: string, isAll: boolean): ChatSummary[] {
  if (!isAll) return list.map((chat) => (chat.id === id ? { ...chat, isAnswering: true } : chat));
  const now = new Date().toISOString();
  const chat = list.find((one) => one.id === id) ?? { id, title, createdAt: now, metadata: {} };
  return [{ ...chat, updatedAt: now, isAnswering: true }, ...list.filter((one) => one.id !== id)];
}

function withTitle(list: ChatSummary[], id: string, title: string): ChatSummary[] {
  return list.map((chat) => (chat.id === id ? { ...chat, title } : chat));
}

/** A chat that has moved down between two requests is in both. */
function joined(known: ChatSummary[], more: ChatSummary[]): ChatSummary[] {
  return [...new Map([...known, ...more].map((chat) => [chat.id, chat])).values()];
}

export function useHistory(): History {
  const history = useContext(HistoryContext);
  if (history === null) throw new Error('useHistory needs a HistoryProvider above it');
  return history;
}
