import { previewOf } from '@/lib/preview';
import { ChevronIcon, DataIcon } from '../icons';
import styles from './disclosure.module.css';
import { JsonView } from './json-view';

/** Data that the server's own code put into the answer; this page knows nothing of its shape. */
export function DataPart({ name, data }: { name: string; data: unknown }) {
  const preview = previewOf(data);
  return (
    <details className={styles.disclosure} data-testid="data-part">
      <summary>
        <DataIcon />
        <span className={styles.title}>{name}</span>
        {preview && <span className={styles.preview}>{preview}</span>}
        <span className={styles.chevron}>
          <ChevronIcon />
        </span>
      </summary>
      <div className={styles.content}>
        <JsonView label="Data" value={data} />
      </div>
    </details>
  );
}
