'use client';

import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { changeChat, deleteChat, listChats, type ChatSummary } from '@/lib/chats';
import { Refusal } from '@/lib/refusal';
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
  setSearch: (words: string) => void;
  refresh: () => void;
  loadMore: () => void;
  /** A chat has got its first or another message: it stands at the top from now on. */
  note: (id: string, title: string) => void;
  noteTitle: (id: string, title: string | null) => void;
  /** A chat is not being answered any more. */
  noteEnd: (id: string) => void;
  rename: (id: string, title: string) => Promise<void>;
  remove: (id: string) => Promise<void>;
};

/** What was done to a chat here, of which the lists up to the request `until` may not know. */
type Change = { title?: string; isRemoved?: boolean; until: number };

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
  const changes = useRef(new Map<string, Change>());

  const load = useCallback(
    async (words: string, after: string | null) => {
      const request = ++lastRequest.current;
      try {
        const listed = await listChats(words, after);
        if (request !== lastRequest.current) return; // A later one is on its way.
        const page = { ...listed, chats: changed(listed.chats, changes.current, request) };
        setChats((known) => (after === null ? page.chats : joined(known, page.chats)));
        setTitles((known) => new Map([...known, ...page.chats.map(({ id, title }) => [id, title] as const)]));
        setCursor(page.nextCursor);
        setStatus('ready');
      } catch (error) {
        if (request !== lastRequest.current) return;
        if (error instanceof Refusal && error.status === 401) noteStranger(error.message);
        setStatus(error instanceof Refusal && error.status === 404 ? 'off' : 'failed');
      }
    },
    [noteStranger],
  );

  const refresh = useCallback(() => void load(shownSearch.current.trim(), null), [load]);
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

  const noteTitle = useCallback((id: string, title: string | null) => {
    setTitles((known) => new Map([...known, [id, title]]));
  }, []);

  const note = useCallback((id: string, title: string) => {
    const begun = title.slice(0, 80);
    setTitles((known) => (known.has(id) ? known : new Map([...known, [id, begun]])));
    if (shownSearch.current !== '') return;
    const now = new Date().toISOString();
    setChats((known) => {
      const chat = known.find((one) => one.id === id);
      const noted = chat ?? { id, title: begun, createdAt: now, metadata: {} };
      return [{ ...noted, updatedAt: now, isAnswering: true }, ...known.filter((one) => one.id !== id)];
    });
  }, []);

  const noteEnd = useCallback(
    (id: string) => {
      setChats((known) => known.map((chat) => (chat.id === id ? { ...chat, isAnswering: false } : chat)));
      refresh();
    },
    [refresh],
  );

  const rename = useCallback(
    async (id: string, title: string) => {
      setChats((known) => known.map((chat) => (chat.id === id ? { ...chat, title } : chat)));
      noteTitle(id, title);
      const change: Change = { title, until: Infinity };
      changes.current.set(id, change);
      try {
        await changeChat(id, { title });
        change.until = lastRequest.current;
      } catch (error) {
        if (changes.current.get(id) === change) changes.current.delete(id);
        refresh();
        throw error;
      }
    },
    [refresh, noteTitle],
  );

  const remove = useCallback(async (id: string) => {
    await deleteChat(id);
    changes.current.set(id, { isRemoved: true, until: lastRequest.current });
    setChats((known) => known.filter((chat) => chat.id !== id));
  }, []);

  const history = useMemo(
    () => {
      const list = { status, chats, titles, hasMore: cursor !== null, search };
      return { ...list, setSearch, refresh, loadMore, note, noteTitle, noteEnd, rename, remove };
    },
    [status, chats, titles, cursor, search, refresh, loadMore, note, noteTitle, noteEnd, rename, remove],
  );
  return <HistoryContext value={history}>{children}</HistoryContext>;
}

function changed(chats: ChatSummary[], changes: ReadonlyMap<string, Change>, request: number): ChatSummary[] {
  return chats.flatMap((chat) => {
    const change = changes.get(chat.id);
    if (change === undefined || request > change.until) return [chat];
    return change.isRemoved ? [] : [{ ...chat, title: change.title ?? chat.title }];
  });
}

function joined(known: ChatSummary[], more: ChatSummary[]): ChatSummary[] {
  const ids = new Set(known.map((chat) => chat.id));
  return [...known, ...more.filter((chat) => !ids.has(chat.id))];
}

export function useHistory(): History {
  const history = useContext(HistoryContext);
  if (history === null) throw new Error('useHistory needs a HistoryProvider above it');
  return history;
}
