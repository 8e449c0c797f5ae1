'use client';

import { useServer } from '@/hooks/use-server';
import type { ServerState } from '@/lib/server-info';
import styles from './model-name.module.css';

const WORDS: Record<Exclude<ServerState['status'], 'ready'>, string> = {
  loading: 'Connecting…',
  unauthorized: 'API key needed',
  unreachable: 'Server not reachable',
  unknown: 'Model not named',
};

/** Which model answers, in the header of every page. */
export function ModelName() {
  const { state } = useServer();
  const label = state.status === 'ready' ? state.info.model.label : WORDS[state.status];
  return (
    <p className={styles.model} data-status={state.status} title={`Model: ${label}`}>
      <span className={styles.dot} aria-hidden="true" />
      <span className="visually-hidden">Model: </span>
      <span className={styles.label} data-testid="model-name">
        {label}
      </span>
    </p>
  );
}
