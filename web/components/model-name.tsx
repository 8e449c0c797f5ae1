'use client';

import { useServer } from '@/hooks/use-server';
import type { ServerState } from '@/lib/server-info';
import { STRINGS } from '@/lib/strings';
import styles from './model-name.module.css';

const WORDS: Record<Exclude<ServerState['status'], 'ready'>, string> = {
  loading: STRINGS.server.connecting,
  unauthorized: STRINGS.server.signedOut,
  unreachable: STRINGS.server.unreachable,
  unknown: STRINGS.server.unnamed,
};

/** Which model answers, in the header. */
export function ModelName() {
  const { state } = useServer();
  const label = state.status === 'ready' ? state.info.model.label : WORDS[state.status];
  return (
    <p className={styles.model} data-status={state.status} title={`${STRINGS.model.label}: ${label}`}>
      <span className={styles.dot} aria-hidden="true" />
      <span className="visually-hidden">{STRINGS.model.label}: </span>
      <span className={styles.label} data-testid="model-name">
        {label}
      </span>
    </p>
  );
}
