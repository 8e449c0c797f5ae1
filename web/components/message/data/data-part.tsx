import { previewOf } from '@/lib/preview';
import { ChevronIcon, DataIcon } from '../../icons';
import styles from '../disclosure.module.css';
import { JsonView } from '../json-view';
import { STRINGS } from '../strings';
import { asChart, Chart } from './chart';
import { asProgress, Progress } from './progress';

/** Data that the server's own code put into the answer: drawn where this page knows its shape, and else as it is. */
export function DataPart({ name, data }: { name: string; data: unknown }) {
  const progress = name === 'progress' ? asProgress(data) : undefined;
  if (progress) return <Progress {...progress} />;
  const chart = name === 'chart' ? asChart(data) : undefined;
  if (chart) return <Chart {...chart} />;
  const preview = previewOf(data);
  return (
    <details className={styles.disclosure} data-kind="data" data-testid="data-part">
      <summary>
        <DataIcon />
        <span className={styles.title}>{name}</span>
        {preview && <span className={styles.preview}>{preview}</span>}
        <span className={styles.chevron}>
          <ChevronIcon />
        </span>
      </summary>
      <div className={styles.content}>
        <JsonView label={STRINGS.data} value={data} />
      </div>
    </details>
  );
}
