import type { Source } from '@/lib/sources';
import { FileIcon, LinkIcon } from '../icons';
import { STRINGS } from './strings';
import styles from './sources.module.css';

/** The sources of an answer, with the numbers that its sentences have. */
export function Sources({ sources }: { sources: readonly Source[] }) {
  if (sources.length === 0) return null;
  return (
    <section className={styles.sources} aria-label={STRINGS.sources} data-testid="sources">
      <h3>{STRINGS.sources}</h3>
      <ol>
        {sources.map((source, index) => (
          <li key={source.id}>
            <SourceEntry source={source} number={index + 1} />
          </li>
        ))}
      </ol>
    </section>
  );
}

function SourceEntry({ source: { href, title, detail }, number }: { source: Source; number: number }) {
  const words = (
    <>
      <span className={styles.number}>{number}</span>
      {href ? <LinkIcon /> : <FileIcon />}
      <span className={styles.title} dir="auto">
        {title}
      </span>
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
