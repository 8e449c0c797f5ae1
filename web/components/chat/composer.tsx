'use client';

import type { FileUIPart } from 'ai';
import {
  memo,
  useEffect,
  useRef,
  type ChangeEvent,
  type ClipboardEvent,
  type FormEvent,
  type KeyboardEvent,
  type ReactNode,
} from 'react';
import { ACCEPTED, type Attachments } from '@/hooks/use-attachments';
import { useAutoGrow } from '@/hooks/use-auto-grow';
import { useDraft } from '@/hooks/use-draft';
import { canHover } from '@/lib/can-hover';
import { STRINGS } from '@/lib/strings';
import { ArrowUpIcon, PaperclipIcon, StopIcon } from '../icons';
import { useMarkdownSoon } from '../message/answer-text';
import { AttachmentTray } from './attachment-tray';
import styles from './composer.module.css';

const WORDS = STRINGS.composer;

type ComposerProps = {
  /** Under which name the text is kept while it is written. */
  draftName: string;
  isBusy: boolean;
  attachments: Attachments;
  onSend: (text: string, files: FileUIPart[]) => void;
  onStop: () => Promise<void>;
  /** The arrow up in an empty field. */
  onEditLast: (() => void) | undefined;
  /** Whether the field takes the focus as it appears. */
  takesFocus: () => boolean;
  /** Small controls below the text. */
  children?: ReactNode;
};

/** The field to write in: Enter sends, Shift+Enter begins a new line. It is not rendered anew while an answer grows. */
export const Composer = memo(function Composer(props: ComposerProps) {
  const { draftName, isBusy, attachments, onSend, onStop, onEditLast, takesFocus, children } = props;
  const [text, setText, keepNow] = useDraft(draftName);
  const field = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  useAutoGrow(field, text);
  useMarkdownSoon(text !== '');

  useEffect(() => {
    // What was written before the page could listen.
    if (field.current?.value) setText(field.current.value);
    if (canHover() && takesFocus()) field.current?.focus();
  }, [setText, takesFocus]);
  const files = attachments.attachments.flatMap(({ part }) => (part ? [part] : []));
  const canSend = !isBusy && !attachments.isReading && (text.trim() !== '' || files.length > 0);

  function submit(event?: FormEvent) {
    event?.preventDefault();
    if (!canSend) return;
    onSend(text, files);
    setText('');
    attachments.clear();
    field.current?.focus();
  }

  function onKeyDown(event: KeyboardEvent) {
    // While an input method composes a word, the keys belong to it.
    if (event.nativeEvent.isComposing) return;
    if (event.key === 'ArrowUp' && text === '' && onEditLast) {
      event.preventDefault();
      onEditLast();
    }
    if (event.key !== 'Enter' || event.shiftKey) return;
    event.preventDefault();
    submit();
  }

  function onPaste(event: ClipboardEvent) {
    if (event.clipboardData.files.length === 0) return;
    // What was copied from a table or a document is there as words and as a picture of them: the words are meant.
    if (event.clipboardData.types.includes('text/plain')) return;
    event.preventDefault();
    attachments.add([...event.clipboardData.files]);
  }

  function onPick(event: ChangeEvent<HTMLInputElement>) {
    attachments.add([...(event.target.files ?? [])]);
    event.target.value = ''; // The same file can be chosen again after it was removed.
    field.current?.focus();
  }

  function stop() {
    void onStop();
    field.current?.focus(); // The button that had the focus goes away.
  }

  return (
    <form className={styles.composer} onSubmit={submit}>
      <AttachmentTray attachments={attachments} />
      <label className="visually-hidden" htmlFor="prompt">
        {WORDS.label}
      </label>
      <textarea
        id="prompt"
        ref={field}
        rows={1}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
        onPaste={onPaste}
        onBlur={keepNow}
        placeholder={WORDS.placeholder}
        enterKeyHint="send"
        aria-describedby="prompt-hint"
        data-testid="prompt"
      />
      <div className={styles.bar}>
        <input ref={picker} type="file" hidden multiple accept={ACCEPTED} onChange={onPick} data-testid="file-picker" />
        <button
          type="button"
          className="icon-button"
          title={WORDS.attach}
          onClick={() => picker.current?.click()}
          data-testid="attach"
        >
          <PaperclipIcon />
          <span className="visually-hidden">{WORDS.attach}</span>
        </button>
        {children}
        <span id="prompt-hint" className={styles.hint}>
          <kbd>Enter</kbd> {WORDS.enter} <kbd>Shift</kbd>+<kbd>Enter</kbd> {WORDS.shiftEnter}
        </span>
        {isBusy ? (
          <button key="stop" type="button" className={styles.round} onClick={stop} data-testid="stop">
            <StopIcon />
            <span className="visually-hidden">{WORDS.stop}</span>
          </button>
        ) : (
          <button key="send" type="submit" className={styles.round} disabled={!canSend} data-testid="send">
            <ArrowUpIcon />
            <span className="visually-hidden">{WORDS.send}</span>
          </button>
        )}
      </div>
    </form>
  );
});
