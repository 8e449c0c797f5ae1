'use client';

import { useEffect, useState } from 'react';
import { problemOf } from '@/lib/problem';
import { STRINGS } from '@/lib/strings';
import { AlertIcon, RetryIcon } from '../icons';
import styles from './error-notice.module.css';

const WORDS = STRINGS.errors;

type ErrorNoticeProps = {
  error: Error;
  onRetry: () => void;
  onDismiss: () => void;
  /** Loads the chat as the server has it. */
  onReload: (() => void) | undefined;
};

/** What went wrong, and what can be done about it. */
export function ErrorNotice({ error, onRetry, onDismiss, onReload }: ErrorNoticeProps) {
  const { text, retryAt, isOutdated } = problemOf(error);
  const seconds = useSecondsUntil(retryAt);
  return (
    <div className={styles.notice}>
      <AlertIcon />
      {/* The countdown is not in it: each second would be read out. */}
      <p role="alert" data-testid="error">
        {text}
      </p>
      <div className={styles.actions}>
        <button type="button" className="button" onClick={onRetry} disabled={seconds > 0} data-testid="retry">
          <RetryIcon /> {seconds > 0 ? WORDS.againIn(inWords(seconds)) : WORDS.again}
        </button>
        {isOutdated && onReload && (
          <button type="button" className="button" onClick={onReload} data-testid="reload-chat">
            {WORDS.openFresh}
          </button>
        )}
        <button type="button" className="button" onClick={onDismiss}>
          {WORDS.dismiss}
        </button>
      </div>
    </div>
  );
}

function secondsUntil(time: number | undefined): number {
  return time === undefined ? 0 : Math.max(0, Math.ceil((time - Date.now()) / 1000));
}

function useSecondsUntil(time: number | undefined): number {
  const [seconds, setSeconds] = useState(() => secondsUntil(time));
  useEffect(() => {
    setSeconds(secondsUntil(time));
    if (secondsUntil(time) === 0) return;
    const timer = setInterval(() => {
      const left = secondsUntil(time);
      setSeconds(left);
      if (left === 0) clearInterval(timer);
    }, 500);
    return () => clearInterval(timer);
  }, [time]);
  return seconds;
}

function inWords(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.ceil(seconds / 60)} min`;
  return `${Math.ceil(seconds / 3600)} h`;
}
