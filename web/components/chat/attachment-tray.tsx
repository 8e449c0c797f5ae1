'use client';

import { sizeInWords, type Attachment, type Attachments } from '@/hooks/use-attachments';
import { STRINGS } from '@/lib/strings';
import { AlertIcon, CloseIcon, FileIcon } from '../icons';
import styles from './attachment-tray.module.css';

const WORDS = STRINGS.composer;

/** The files that go with the message, and why one does not. */
export function AttachmentTray({ attachments: { attachments, complaint, remove, dismiss } }: { attachments: Attachments }) {
  return (
    <>
      {complaint && (
        <div className={styles.complaint} role="alert" data-testid="file-complaint">
          <AlertIcon />
          <p>{complaint}</p>
          <button type="button" className="icon-button" title={WORDS.dismiss} onClick={dismiss}>
            <CloseIcon />
            <span className="visually-hidden">{WORDS.dismiss}</span>
          </button>
        </div>
      )}
      {attachments.length > 0 && (
        <ul className={styles.tray} aria-label={WORDS.files}>
          {attachments.map((attachment) => (
            <li key={attachment.key} className={styles.item} data-testid="attachment">
              <Thumbnail attachment={attachment} />
              <span className={styles.words}>
                <span className={styles.name} title={attachment.name}>
                  {attachment.name}
                </span>
                <span className={styles.size}>{sizeInWords(attachment.size)}</span>
              </span>
              <button
                type="button"
                className={styles.remove}
                title={WORDS.removeFile(attachment.name)}
                onClick={() => {
                  remove(attachment.key);
                  document.getElementById('prompt')?.focus();
                }}
              >
                <CloseIcon />
                <span className="visually-hidden">{WORDS.removeFile(attachment.name)}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function Thumbnail({ attachment: { name, part, progress } }: { attachment: Attachment }) {
  if (part === undefined) return <progress value={progress} aria-label={WORDS.readingFile(name)} />;
  if (part.mediaType.startsWith('image/')) return <img src={part.url} alt="" />;
  return (
    <span className={styles.icon}>
      <FileIcon />
    </span>
  );
}
