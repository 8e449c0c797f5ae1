'use client';

import { useEffect, useRef, useState, type FormEvent, type KeyboardEvent } from 'react';
import { useAutoGrow } from '@/hooks/use-auto-grow';
import { writtenText } from '@/lib/message-text';
import { STRINGS } from '@/lib/strings';
import type { ChatMessage } from '@/lib/types';
import styles from './message-editor.module.css';

type MessageEditorProps = {
  message: ChatMessage;
  /** Whether another answer is on its way: until it has ended, the server takes no other version. */
  isHeld: boolean;
  onSave: (message: ChatMessage, text: string) => void;
  onCancel: () => void;
};

/** Another version of a question, in its place. */
export function MessageEditor({ message, isHeld, onSave, onCancel }: MessageEditorProps) {
  const [text, setText] = useState(() => writtenText(message));
  const field = useRef<HTMLTextAreaElement>(null);
  useAutoGrow(field, text);

  useEffect(() => {
    const element = field.current;
    element?.focus();
    element?.setSelectionRange(element.value.length, element.value.length);
  }, []);

  const canSend = !isHeld && (text.trim() !== '' || message.parts.some((part) => part.type === 'file'));

  function submit(event?: FormEvent) {
    event?.preventDefault();
    if (canSend) onSave(message, text);
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.nativeEvent.isComposing) return;
    if (event.key === 'Escape') {
      event.preventDefault();
      onCancel();
    } else if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      submit();
    }
  }

  return (
    <form className={styles.editor} onSubmit={submit}>
      <textarea
        ref={field}
        rows={1}
        value={text}
        aria-label={STRINGS.actions.editField}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
        data-testid="edit-field"
      />
      <div className={styles.buttons}>
        <button type="button" className="button" onClick={onCancel}>
          {STRINGS.actions.cancelEdit}
        </button>
        <button type="submit" className="button button-primary" disabled={!canSend}>
          {STRINGS.actions.saveEdit}
        </button>
      </div>
    </form>
  );
}
