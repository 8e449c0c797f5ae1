import { errorText } from '@/lib/error-text';
import { AlertIcon, RetryIcon } from '../icons';
import styles from './error-notice.module.css';

type ErrorNoticeProps = {
  error: Error;
  onRetry: () => void;
  onDismiss: () => void;
};

export function ErrorNotice({ error, onRetry, onDismiss }: ErrorNoticeProps) {
  return (
    <div className={styles.notice} role="alert" data-testid="error">
      <AlertIcon />
      <p>{errorText(error)}</p>
      <div className={styles.actions}>
        <button type="button" className="button" onClick={onRetry} data-testid="retry">
          <RetryIcon /> Try again
        </button>
        <button type="button" className="button" onClick={onDismiss}>
          Dismiss
        </button>
      </div>
    </div>
  );
}
