import styles from './typing-dots.module.css';

/** The answer is on its way: plain to see before its first word, quiet once there is something to read. */
export function TypingDots({ isQuiet }: { isQuiet: boolean }) {
  return (
    <div className={styles.dots} data-quiet={isQuiet} aria-hidden="true">
      <i />
      <i />
      <i />
    </div>
  );
}
