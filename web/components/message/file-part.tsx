import { safeFile } from '@/lib/safe-url';
import type { AttachedFile } from '@/lib/types';
import { FileIcon } from '../icons';
import styles from './file-part.module.css';
import { STRINGS } from './strings';

function isImage(mediaType: string): boolean {
  return mediaType === 'image' || mediaType.startsWith('image/');
}

type FilePartProps = {
  file: AttachedFile;
  /** As a thumbnail: what the visitor attached. */
  isSmall: boolean;
};

/** An image is shown, any other file is offered for download. */
export function FilePart({ file, isSmall }: FilePartProps) {
  const name = file.filename ?? STRINGS.file(file.mediaType);
  const url = safeFile(file.url);
  if (url === undefined) {
    return (
      <p className={styles.missing}>
        {name}: {STRINGS.badAddress}
      </p>
    );
  }
  if (isImage(file.mediaType)) {
    return (
      <figure className={styles.figure} data-small={isSmall}>
        <img src={url} alt={file.filename ?? STRINGS.imageInConversation} decoding="async" loading="lazy" />
        {file.filename && <figcaption dir="auto">{file.filename}</figcaption>}
      </figure>
    );
  }
  return (
    <a className={styles.file} href={url} download={file.filename ?? true}>
      <FileIcon />
      <span className={styles.name} dir="auto">
        {name}
      </span>
      <span className={styles.type}>{file.mediaType}</span>
    </a>
  );
}
