import type { Source } from '@/lib/sources';
import { FileIcon, LinkIcon } from '../icons';
import styles from './sources.module.css';

export function Sources({ sources }: { sources: Source[] }) {
  if (sources.length === 0) return null;
  return (
    <section className={styles.sources} aria-label="Sources" data-testid="sources">
      <h3>Sources</h3>
      <ol>
        {sources.map((source) => (
          <li key={source.id}>
            <SourceEntry source={source} />
          </li>
        ))}
      </ol>
    </section>
  );
}

function SourceEntry({ source: { href, title, detail } }: { source: Source }) {
  const words = (
    <>
      {href ? <LinkIcon /> : <FileIcon />}
      <span className={styles.title}>{title}</span>
      {detail && <span className={styles.detail}>{detail}</span>}
    </>
  );
  if (href === undefined) return <span className={styles.source}>{words}</span>;
  return (
    <a className={styles.source} href={href} target="_blank" rel="noreferrer">
      {words}
    </a>
  );
}
