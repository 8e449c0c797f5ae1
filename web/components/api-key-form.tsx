'use client';

import { useId, useState, type FormEvent } from 'react';
import { useServer } from '@/hooks/use-server';
import { saveApiKey } from '@/lib/api-key';
import { STRINGS } from '@/lib/strings';
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
    <form className={styles.form} onSubmit={submit} aria-label={STRINGS.signIn.label}>
      <p id={messageId} role="alert">
        {message}
      </p>
      <div className={styles.row}>
        <label htmlFor={fieldId}>{STRINGS.signIn.field}</label>
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
          {isChecking ? STRINGS.signIn.checking : STRINGS.signIn.submit}
        </button>
      </div>
      <p className={styles.hint}>{STRINGS.signIn.hint}</p>
    </form>
  );
}
