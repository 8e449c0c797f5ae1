import styles from './json-view.module.css';

/** A value as it is: text as text, all else as indented JSON. Nothing for undefined. */
export function JsonView({ label, value }: { label: string; value: unknown }) {
  if (value === undefined) return null;
  return (
    <div className={styles.view}>
      <span className={styles.label}>{label}</span>
      <pre tabIndex={0} role="group" aria-label={label}>
        {typeof value === 'string' ? value : JSON.stringify(value, null, 2)}
      </pre>
    </div>
  );
}
