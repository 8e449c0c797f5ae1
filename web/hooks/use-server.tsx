'use client';

import { createContext, useCallback, useContext, useEffect, useMemo, useState, type ReactNode } from 'react';
import { forgetApiKey, hasApiKey } from '@/lib/api-key';
import { fetchServerState, type ServerState } from '@/lib/server-info';

type Server = {
  state: ServerState;
  /** Whether this tab has a key. */
  hasKey: boolean;
  /** Asks the server again, for instance with the key that was just entered. */
  refresh: () => Promise<void>;
  /** Shows the field for the API key, with the words in which the server refused. */
  askForKey: (message: string) => void;
  signOut: () => void;
};

const ServerContext = createContext<Server | null>(null);

/** Asks the server once who answers; every page below reads it with `useServer`. */
export function ServerProvider({ children }: { children: ReactNode }) {
  const [state, setState] = useState<ServerState>({ status: 'loading' });
  const [hasKey, setHasKey] = useState(false);

  const refresh = useCallback(async () => {
    setState(await fetchServerState());
    setHasKey(hasApiKey());
  }, []);
  const askForKey = useCallback((message: string) => setState({ status: 'unauthorized', message }), []);
  const signOut = useCallback(() => {
    forgetApiKey();
    window.location.assign(window.location.pathname); // Nothing that was shown stays.
  }, []);

  useEffect(() => {
    void refresh();
  }, [refresh]);

  const server = useMemo(
    () => ({ state, hasKey, refresh, askForKey, signOut }),
    [state, hasKey, refresh, askForKey, signOut],
  );
  return <ServerContext value={server}>{children}</ServerContext>;
}

export function useServer(): Server {
  const server = useContext(ServerContext);
  if (server === null) throw new Error('useServer needs a ServerProvider above it');
  return server;
}
