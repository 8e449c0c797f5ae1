import type { ReactNode } from 'react';
import { STRINGS } from '../strings';
import styles from './fields.module.css';

/** Characters that change how the others are read, or that nobody sees: who approves a text has to see them. */
const HIDDEN = /([\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}])/u;

/** A value as a whole, nothing cut or folded: what somebody approves. */
export function Fields({ value }: { value: unknown }) {
  if (typeof value !== 'object' || value === null) return <Value value={value} />;
  const fields = Object.entries(value);
  if (fields.length === 0) return <p className={styles.empty}>{STRINGS.noInput}</p>;
  return (
    <dl className={styles.fields}>
      {fields.map(([name, field]) => (
        <div key={name}>
          <dt>
            <Visible text={name} />
          </dt>
          <dd>
            <Value value={field} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Value({ value }: { value: unknown }) {
  if (value === '') return <span className={styles.empty}>{STRINGS.empty}</span>;
  const isText = typeof value === 'string';
  return (
    <bdi className={isText ? styles.text : styles.json}>
      <Visible text={isText ? value : JSON.stringify(value, null, 2)} />
    </bdi>
  );
}

function Visible({ text }: { text: string | undefined }): ReactNode {
  return (text ?? '').split(HIDDEN).map((piece, index) =>
    index % 2 === 0 ? piece : (
      <span key={index} className={styles.hidden} title={STRINGS.hiddenCharacter(codeOf(piece))}>
        {codeOf(piece)}
      </span>
    ),
  );
}

function codeOf(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}
