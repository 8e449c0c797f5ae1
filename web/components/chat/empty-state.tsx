'use client';

import { useServer } from '@/hooks/use-server';
import { DEMO_STARTERS, STARTERS } from '@/lib/starters';
import styles from './empty-state.module.css';

/** Before the first message: a greeting, and something to begin with. */
export function EmptyState({ onPick }: { onPick: (text: string) => void }) {
  const { state } = useServer();
  const isDemo = state.status === 'ready' && state.info.model.provider === 'demo';
  return (
    <section className={styles.empty}>
      <h1>What would you like to know?</h1>
      <p>Stock useChat, answered by Python. Write a message, or begin with one of these.</p>
      <ul>
        {(isDemo ? DEMO_STARTERS : STARTERS).map((text) => (
          <li key={text}>
            <button type="button" onClick={() => onPick(text)}>
              {text}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
