'use client';

import { useId, useState, type FormEvent } from 'react';
import { useServer } from '@/hooks/use-server';
import { saveApiKey } from '@/lib/api-key';
import styles from './api-key-form.module.css';

/** The server wants an API key: its own words, and a field to enter one. */
export function ApiKeyForm({ message }: { message: string }) {
  const { refresh } = useServer();
  const [key, setKey] = useState('');
  const [isChecking, setIsChecking] = useState(false);
  const fieldId = useId();
  const messageId = useId();

  async function submit(event: FormEvent) {
    event.preventDefault();
    saveApiKey(key.trim());
    setIsChecking(true);
    await refresh();
    setIsChecking(false);
  }

  return (
    <form className={styles.form} onSubmit={submit} aria-label="API key">
      <p id={messageId} role="alert">
        {message}
      </p>
      <div className={styles.row}>
        <label htmlFor={fieldId}>API key</label>
        <input
          id={fieldId}
          type="password"
          autoComplete="off"
          spellCheck={false}
          required
          value={key}
          onChange={(event) => setKey(event.target.value)}
          aria-describedby={messageId}
          data-testid="api-key"
        />
        <button type="submit" className="button button-primary" disabled={isChecking || key.trim() === ''}>
          {isChecking ? 'Checking…' : 'Use this key'}
        </button>
      </div>
      <p className={styles.hint}>It stays in this tab and is forgotten when you close it.</p>
    </form>
  );
}
