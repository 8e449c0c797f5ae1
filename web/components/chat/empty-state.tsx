'use client';

import { useServer } from '@/hooks/use-server';
import { STRINGS } from '@/lib/strings';
import styles from './empty-state.module.css';

/** Before the first message: a greeting, and something to begin with for who may. */
export function EmptyState({ onPick }: { onPick: (text: string) => void }) {
  const { state } = useServer();
  const isDemo = state.status === 'ready' && state.info.model.provider === 'demo';
  const isStranger = state.status === 'unauthorized';
  const { title, text, starters, demoStarters } = STRINGS.empty;
  return (
    <section className={styles.empty}>
      <h1>{title}</h1>
      {!isStranger && (
        <>
          <p>{text}</p>
          {/* Until it is known who answers, they keep their place. */}
          <ul data-hidden={state.status === 'loading'}>
            {(isDemo ? demoStarters : starters).map((starter) => (
              <li key={starter}>
                <button type="button" onClick={() => onPick(starter)}>
                  {starter}
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}
