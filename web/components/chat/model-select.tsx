'use client';

import { useServer } from '@/hooks/use-server';
import styles from './model-select.module.css';

type ModelSelectProps = {
  value: string | undefined;
  onChange: (model: string) => void;
};

/** Offered only where the server leaves a choice. */
export function ModelSelect({ value, onChange }: ModelSelectProps) {
  const { state } = useServer();
  if (state.status !== 'ready' || state.info.models.length < 2) return null;
  const models = new Set([state.info.model.id, ...state.info.models]);
  return (
    <label className={styles.field}>
      <span className="visually-hidden">Model</span>
      <select
        value={value ?? state.info.model.id}
        onChange={(event) => onChange(event.target.value)}
        data-testid="model-select"
      >
        {[...models].map((model) => (
          <option key={model}>{model}</option>
        ))}
      </select>
    </label>
  );
}
