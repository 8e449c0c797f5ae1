import type { FileUIPart } from 'ai';
import { useCallback, useMemo, useRef, useState } from 'react';
import { STRINGS } from '@/lib/strings';

/** With what base64 adds, and the messages before, this stays below what the server takes in a body by default. */
const MAX_BYTES = 10 * 1024 * 1024;
const MAX_FILES = 10;

const READABLE = /^(image\/(png|jpeg|gif|webp)|application\/(pdf|json|xml|yaml|x-yaml|javascript)|text\/.*)$/;
/** Browsers know no type for many files of text. */
const TEXT_NAMES = /\.(txt|md|csv|tsv|json|ya?ml|toml|xml|html?|css|[jt]sx?|py|rs|go|java|c|h|cpp|sh|sql|log|ini)$/i;

/** What the field for files offers. */
export const ACCEPTED = 'image/png,image/jpeg,image/gif,image/webp,application/pdf,text/*,.md,.csv,.json,.py,.ts,.js';

export type Attachment = {
  key: number;
  name: string;
  size: number;
  /** A share of 1; the file can be sent at 1. */
  progress: number;
  part?: FileUIPart;
};

/** The files that go with the next message. */
export function useAttachments() {
  const [attachments, setAttachments] = useState<Attachment[]>([]);
  const [complaint, setComplaint] = useState<string>();
  const nextKey = useRef(0);
  const all = useRef<Attachment[]>([]);

  const change = useCallback((next: (known: Attachment[]) => Attachment[]) => {
    all.current = next(all.current);
    setAttachments(all.current);
  }, []);
  const remove = useCallback(
    (key: number) => {
      setComplaint(undefined);
      change((known) => known.filter((one) => one.key !== key));
    },
    [change],
  );
  const clear = useCallback(() => {
    setComplaint(undefined);
    change(() => []);
  }, [change]);

  const add = useCallback(
    (files: Iterable<File>) => {
      setComplaint(undefined);
      for (const file of files) {
        const refusal = refusalOf(file, all.current);
        if (refusal) {
          setComplaint(refusal);
          continue;
        }
        const key = nextKey.current++;
        const update = (fields: Partial<Attachment>) =>
          change((known) => known.map((one) => (one.key === key ? { ...one, ...fields } : one)));
        change((known) => [...known, { key, name: file.name, size: file.size, progress: 0 }]);
        read(file, (progress) => update({ progress })).then(
          (part) => update({ part, progress: 1 }),
          () => {
            if (!all.current.some((one) => one.key === key)) return; // It was removed while it was read.
            remove(key);
            setComplaint(STRINGS.composer.unreadableFile(file.name));
          },
        );
      }
    },
    [change, remove],
  );

  const isReading = attachments.some((one) => one.part === undefined);
  const dismiss = useCallback(() => setComplaint(undefined), []);
  return useMemo(
    () => ({ attachments, complaint, isReading, add, remove, clear, dismiss }),
    [attachments, complaint, isReading, add, remove, clear, dismiss],
  );
}

export type Attachments = ReturnType<typeof useAttachments>;

function mediaTypeOf(file: File): string | undefined {
  if (READABLE.test(file.type)) return file.type;
  return TEXT_NAMES.test(file.name) ? 'text/plain' : undefined;
}

function refusalOf(file: File, known: readonly Attachment[]): string | undefined {
  const words = STRINGS.composer;
  if (known.length >= MAX_FILES) return words.tooManyFiles(MAX_FILES);
  if (file.size === 0) return words.emptyFile(file.name);
  if (mediaTypeOf(file) === undefined) return words.wrongFile(file.name);
  const total = known.reduce((sum, one) => sum + one.size, file.size);
  return total > MAX_BYTES ? words.tooLargeFile(file.name, sizeInWords(MAX_BYTES)) : undefined;
}

function read(file: File, onProgress: (share: number) => void): Promise<FileUIPart> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onprogress = ({ loaded, total }) => onProgress(total > 0 ? Math.min(loaded / total, 0.99) : 0);
    reader.onerror = () => reject(reader.error ?? new Error(file.name));
    reader.onload = () => {
      const mediaType = mediaTypeOf(file) ?? 'text/plain';
      const url = String(reader.result).replace(/^data:[^,]*,/, `data:${mediaType};base64,`);
      resolve({ type: 'file', filename: file.name, mediaType, url });
    };
    reader.readAsDataURL(file);
  });
}

export function sizeInWords(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${Math.round(bytes / 1024)} KB`;
  return `${(bytes / (1024 * 1024)).toFixed(bytes % (1024 * 1024) === 0 ? 0 : 1)} MB`;
}
