'use client';

import { useServer } from '@/hooks/use-server';
import { STRINGS } from '@/lib/strings';
import styles from './empty-state.module.css';

/** Before the first message: a greeting, and something to begin with. */
export function EmptyState({ onPick }: { onPick: (text: string) => void }) {
  const { state } = useServer();
  const isDemo = state.status === 'ready' && state.info.model.provider === 'demo';
  const { title, text, starters, demoStarters } = STRINGS.empty;
  return (
    <section className={styles.empty}>
      <h1>{title}</h1>
      <p>{text}</p>
      <ul>
        {(isDemo ? demoStarters : starters).map((starter) => (
          <li key={starter}>
            <button type="button" onClick={() => onPick(starter)}>
              {starter}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
