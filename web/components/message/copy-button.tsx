'use client';

import { useEffect, useState } from 'react';
import { CheckIcon, CopyIcon } from '../icons';
import { STRINGS } from './strings';
import styles from './copy-button.module.css';

const SHOWN_MS = 2_000;

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [isCopied, setIsCopied] = useState(false);

  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => setIsCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [isCopied]);

  // Browsers offer the clipboard only to pages from https or this machine.
  if (typeof navigator === 'undefined' || !navigator.clipboard) return null;
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setIsCopied(true),
      () => undefined,
    );
  return (
    <button type="button" className={styles.copy} onClick={() => void copy()} data-testid="copy-code">
      {isCopied ? <CheckIcon /> : <CopyIcon />}
      <span aria-hidden="true">{isCopied ? STRINGS.copied : STRINGS.copy}</span>
      <span className="visually-hidden">{isCopied ? STRINGS.copied : label}</span>
    </button>
  );
}
