'use client';

import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { hasApiKey } from '@/lib/api-key';
import { forgetDrafts } from '@/lib/drafts';
import type { Refusal } from '@/lib/refusal';
import { fetchServerState, type ServerState } from '@/lib/server-info';
import { enter, leave } from '@/lib/session';

type Server = {
  state: ServerState;
  /** Whether this visitor has come in by a key. */
  canSignOut: boolean;
  /** Asks the server again. */
  refresh: () => Promise<void>;
  /** Something was refused because the server does not know this visitor. */
  noteStranger: (refusal: Refusal) => void;
  /** Comes in with a key. Tells whether it is one. */
  signIn: (key: string) => Promise<boolean>;
  signOut: () => void;
};

const ServerContext = createContext<Server | null>(null);

/** Asks the server once who answers; every page below reads it with `useServer`. */
export function ServerProvider({ children }: { children: ReactNode }) {
  const [state, setState] = useState<ServerState>({ status: 'loading' });
  const offered = state.status === 'unauthorized' ? state.signIn : undefined;

  /** When the visitor came in: what was asked before, they asked as a stranger. */
  const enteredAt = useRef(0);

  const refresh = useCallback(async () => {
    const askedAt = performance.now();
    const asked = await fetchServerState();
    if (askedAt >= enteredAt.current) setState(asked);
  }, []);

  const noteStranger = useCallback(async ({ message, askedAt }: Refusal) => {
    const asked = await fetchServerState();
    if (askedAt < enteredAt.current) return;
    setState((known) => {
      if (known.status === 'unauthorized') return known;
      const reason = known.status === 'ready' ? 'over' : 'needed';
      const signIn = asked.status === 'unauthorized' ? asked.signIn : undefined;
      return { status: 'unauthorized', reason, message, signIn };
    });
  }, []);

  const signIn = useCallback(
    async (key: string) => {
      const entered = await enter(key, offered);
      const isIn = entered.status !== 'unauthorized';
      if (isIn) enteredAt.current = performance.now();
      setState(isIn ? entered : { ...entered, reason: 'wrong' });
      return isIn;
    },
    [offered],
  );

  const signOut = useCallback(async () => {
    await leave();
    forgetDrafts();
    window.location.assign(window.location.pathname); // Nothing that was shown stays.
  }, []);

  useEffect(() => {
    void refresh();
  }, [refresh]);

  const server = useMemo(
    () => ({ state, canSignOut: hasComeByKey(state), refresh, noteStranger, signIn, signOut }),
    [state, refresh, noteStranger, signIn, signOut],
  );
  return <ServerContext value={server}>{children}</ServerContext>;
}

/** The cookie of a session cannot be seen; but who is let in where keys are needed, and is no user, has come by one. */
function hasComeByKey(state: ServerState): boolean {
  if (state.status === 'loading') return false; // As the page was built, where no tab has a key.
  if (hasApiKey()) return true;
  if (state.status !== 'ready' || !state.info.signIn?.session) return false;
  return !state.info.user?.startsWith('user:');
}

export function useServer(): Server {
  const server = useContext(ServerContext);
  if (server === null) throw new Error('useServer needs a ServerProvider above it');
  return server;
}
