import { useMemo } from 'react';
import styles from './json-view.module.css';

/** What is longer is shown in its begin: nobody reads it to its end here, and the page has to lay it out. */
const LONGEST = 20_000;

/** A value as it is: text as text, all else as indented JSON. Nothing for undefined. */
export function JsonView({ label, value }: { label: string; value: unknown }) {
  const text = useMemo(() => (typeof value === 'string' ? value : JSON.stringify(value, null, 2)), [value]);
  if (value === undefined) return null;
  return (
    <div className={styles.view}>
      <span className={styles.label}>{label}</span>
      <pre tabIndex={0} role="group" aria-label={label} dir="auto">
        {text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text}
      </pre>
    </div>
  );
}
