import { safeFile } from '@/lib/safe-url';
import type { AttachedFile } from '@/lib/types';
import { FileIcon } from '../icons';
import styles from './file-part.module.css';

function isImage(mediaType: string): boolean {
  return mediaType === 'image' || mediaType.startsWith('image/');
}

/** An image is shown, any other file is offered for download. */
export function FilePart({ file }: { file: AttachedFile }) {
  const name = file.filename ?? `File (${file.mediaType})`;
  const url = safeFile(file.url);
  if (url === undefined) return <p className={styles.missing}>{name}: its address cannot be opened here.</p>;
  if (isImage(file.mediaType)) {
    return (
      <figure className={styles.figure}>
        <img src={url} alt={file.filename ?? 'Image in the conversation'} />
        {file.filename && <figcaption>{file.filename}</figcaption>}
      </figure>
    );
  }
  return (
    <a className={styles.file} href={url} download={file.filename ?? true}>
      <FileIcon />
      <span>{name}</span>
      <span className={styles.type}>{file.mediaType}</span>
    </a>
  );
}
