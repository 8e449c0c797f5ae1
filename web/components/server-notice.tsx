'use client';

import { useEffect, useState } from 'react';
import { useServer } from '@/hooks/use-server';
import { STRINGS } from '@/lib/strings';
import { AlertIcon, InfoIcon } from './icons';
import styles from './server-notice.module.css';
import { SignInForm } from './sign-in-form';

/** What a visitor must know before they write: a stand-in answers, they must sign in, or nobody is there. */
export function ServerNotice() {
  const { state, refresh } = useServer();
  const isOffline = useIsOffline();
  if (isOffline) {
    return (
      <aside className={styles.notice} data-tone="bad" role="alert">
        <AlertIcon />
        <p>{STRINGS.errors.offlineBanner}</p>
      </aside>
    );
  }
  switch (state.status) {
    case 'ready':
      return state.info.notice ? (
        <aside className={styles.notice} aria-label={STRINGS.server.about}>
          <InfoIcon />
          <p>{state.info.notice}</p>
        </aside>
      ) : null;
    case 'unauthorized':
      return <SignInForm state={state} />;
    case 'unreachable':
      return (
        <aside className={styles.notice} data-tone="bad" role="alert">
          <AlertIcon />
          <p>{STRINGS.server.away}</p>
          <button type="button" className="button" onClick={() => void refresh()}>
            {STRINGS.server.lookAgain}
          </button>
        </aside>
      );
    case 'loading':
    case 'unknown':
      return null;
  }
}

function useIsOffline(): boolean {
  const [isOffline, setIsOffline] = useState(false);
  useEffect(() => {
    const look = () => setIsOffline(!navigator.onLine);
    look();
    window.addEventListener('online', look);
    window.addEventListener('offline', look);
    return () => {
      window.removeEventListener('online', look);
      window.removeEventListener('offline', look);
    };
  }, []);
  return isOffline;
}
