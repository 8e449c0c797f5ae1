'use client';

import { useServer } from '@/hooks/use-server';
import { ApiKeyForm } from './api-key-form';
import { AlertIcon, InfoIcon } from './icons';
import styles from './server-notice.module.css';

/** What a visitor must know before they write: a stand-in answers, a key is needed, or nobody is there. */
export function ServerNotice() {
  const { state, refresh } = useServer();
  switch (state.status) {
    case 'ready':
      return state.info.notice ? (
        <aside className={styles.notice} aria-label="About the model">
          <InfoIcon />
          <p>{state.info.notice}</p>
        </aside>
      ) : null;
    case 'unauthorized':
      return <ApiKeyForm message={state.message} />;
    case 'unreachable':
      return (
        <aside className={styles.notice} data-tone="bad" role="alert">
          <AlertIcon />
          <p>The Python server does not answer. Start it, then look again.</p>
          <button type="button" className="button" onClick={() => void refresh()}>
            Look again
          </button>
        </aside>
      );
    case 'loading':
    case 'unknown':
      return null;
  }
}
