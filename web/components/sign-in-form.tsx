'use client';

import { useId, useState, type FormEvent } from 'react';
import { useServer } from '@/hooks/use-server';
import { canHover } from '@/lib/can-hover';
import { signInPage, takesKeys } from '@/lib/session';
import type { StrangerState } from '@/lib/server-info';
import { STRINGS } from '@/lib/strings';
import styles from './sign-in-form.module.css';

const WORDS = STRINGS.signIn;

/** The server answers those it knows: how to become one of them. */
export function SignInForm({ state }: { state: StrangerState }) {
  const { refresh } = useServer();
  const { signIn, reason } = state;
  const messageId = useId();
  const page = signInPage(signIn);
  const hasField = takesKeys(signIn);
  // A server that does not tell how to sign in has words of its own.
  const message = signIn === undefined && reason !== 'wrong' ? state.message : WORDS[reason];
  return (
    <section className={styles.form} aria-label={WORDS.title}>
      <p id={messageId} role="alert">
        {message}
      </p>
      {page && (
        <a className={hasField ? 'button' : 'button button-primary'} href={page}>
          {WORDS.page}
        </a>
      )}
      {hasField && <KeyField state={state} messageId={messageId} />}
      {!page && !hasField && (
        <>
          <p className={styles.hint}>{WORDS.elsewhere}</p>
          <button type="button" className="button" onClick={() => void refresh()}>
            {STRINGS.server.lookAgain}
          </button>
        </>
      )}
    </section>
  );
}

function KeyField({ state, messageId }: { state: StrangerState; messageId: string }) {
  const { signIn } = useServer();
  const [key, setKey] = useState('');
  const [isChecking, setIsChecking] = useState(false);
  const fieldId = useId();

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    setIsChecking(true);
    const form = event.currentTarget;
    const isIn = await signIn(key.trim());
    // The field that had the focus goes away. Who has gone elsewhere meanwhile stays there.
    const isHere = document.activeElement === document.body || form.contains(document.activeElement);
    if (isIn && isHere && canHover()) document.getElementById('prompt')?.focus();
    setIsChecking(false);
  }

  return (
    <form className={styles.key} onSubmit={submit}>
      <div className={styles.row}>
        <label htmlFor={fieldId}>{WORDS.field}</label>
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
          {isChecking ? WORDS.checking : WORDS.submit}
        </button>
      </div>
      <p className={styles.hint}>{state.signIn?.session ? WORDS.sessionHint : WORDS.tabHint}</p>
    </form>
  );
}
