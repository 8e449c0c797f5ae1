'use client';

import { useServer } from '@/hooks/use-server';
import { DEMO_STARTERS, STARTERS } from '@/lib/starters';
import { STRINGS } from '@/lib/strings';
import styles from './empty-state.module.css';

/** Before the first message: a greeting, and something to begin with. */
export function EmptyState({ onPick }: { onPick: (text: string) => void }) {
  const { state } = useServer();
  const isDemo = state.status === 'ready' && state.info.model.provider === 'demo';
  return (
    <section className={styles.empty}>
      <h1>{STRINGS.empty.title}</h1>
      <p>{STRINGS.empty.text}</p>
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
