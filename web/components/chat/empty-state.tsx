'use client';

import { useServer } from '@/hooks/use-server';
import { STRINGS } from '@/lib/strings';
import styles from './empty-state.module.css';

const SUGGESTIONS = [
  'Explain in two sentences how a streamed answer works.',
  'Write a haiku about the sea.',
  'Suggest three names for a grey cat.',
];

/** The demo is a script: these are words that it knows. */
const DEMO_SUGGESTIONS = ['Show me everything you can do.', 'Write an e-mail, but ask me first.', 'Draw me a picture.'];

/** Before the first message: a greeting, and something to begin with. */
export function EmptyState({ onPick }: { onPick: (text: string) => void }) {
  const { state } = useServer();
  const isDemo = state.status === 'ready' && state.info.model.provider === 'demo';
  return (
    <section className={styles.empty}>
      <h1>{STRINGS.empty.title}</h1>
      <p>{STRINGS.empty.text}</p>
      <ul>
        {(isDemo ? DEMO_SUGGESTIONS : SUGGESTIONS).map((text) => (
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
