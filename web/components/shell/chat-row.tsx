'use client';

import { useEffect, useLayoutEffect, useRef, useState, type FormEvent, type MouseEvent } from 'react';
import { useHistory } from '@/hooks/use-history';
import type { ChatSummary } from '@/lib/chats';
import { hrefOf, openChat, openNewChat, route } from '@/lib/route';
import { STRINGS } from '@/lib/strings';
import { MoreIcon, PencilIcon, TrashIcon } from '../icons';
import { Dialog } from '../ui/dialog';
import dialogStyles from '../ui/dialog.module.css';
import { Menu } from '../ui/menu';
import styles from './sidebar.module.css';

type ChatRowProps = {
  chat: ChatSummary;
  /** What was searched for: the chat opens at the message that has it. */
  find: string;
  isCurrent: boolean;
  onChosen: () => void;
};

export function ChatRow({ chat, find, isCurrent, onChosen }: ChatRowProps) {
  const { rename } = useHistory();
  const [isRenaming, setIsRenaming] = useState(false);
  const [isDeleting, setIsDeleting] = useState(false);
  const [complaint, setComplaint] = useState<string>();
  const link = useRef<HTMLAnchorElement>(null);
  const takesFocus = useRef(false);
  const title = chat.title ?? STRINGS.untitled;

  function open(event: MouseEvent) {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return; // The browser opens a tab or a window.
    event.preventDefault();
    openChat(chat.id, find);
    onChosen();
  }

  // Before anything else happens: a key that is pressed next must reach the link.
  useLayoutEffect(() => {
    if (isRenaming || !takesFocus.current) return;
    takesFocus.current = false;
    link.current?.focus();
  }, [isRenaming]);

  function finishRenaming(name: string | undefined, isByKey: boolean) {
    takesFocus.current = isByKey; // Otherwise something else was chosen, and has it.
    setIsRenaming(false);
    setComplaint(undefined);
    if (name) rename(chat.id, name).catch(() => setComplaint(STRINGS.chatMenu.renameFailed));
  }

  return (
    <li className={styles.row} data-current={isCurrent} data-testid="chat-row">
      {isRenaming ? (
        <RenameField title={title} onDone={finishRenaming} />
      ) : (
        <>
          <a
            ref={link}
            href={hrefOf(chat.id, find)}
            title={title}
            aria-current={isCurrent ? 'page' : undefined}
            onClick={open}
          >
            <span className={styles.title}>{title}</span>
            {chat.isAnswering && (
              <span className={styles.answering}>
                <span className="visually-hidden"> {STRINGS.sidebar.answering}</span>
              </span>
            )}
          </a>
          <Menu
            label={STRINGS.chatMenu.label(title)}
            className={styles.options}
            items={[
              { label: STRINGS.chatMenu.rename, icon: <PencilIcon />, run: () => setIsRenaming(true) },
              { label: STRINGS.chatMenu.remove, icon: <TrashIcon />, isDangerous: true, run: () => setIsDeleting(true) },
            ]}
          >
            <MoreIcon />
          </Menu>
        </>
      )}
      {complaint && (
        <p className={styles.complaint} role="alert">
          {complaint}
        </p>
      )}
      {isDeleting && <DeleteDialog chat={chat} title={title} onClose={() => setIsDeleting(false)} />}
    </li>
  );
}

type RenameFieldProps = { title: string; onDone: (name: string | undefined, isByKey: boolean) => void };

function RenameField({ title, onDone }: RenameFieldProps) {
  const [name, setName] = useState(title);
  const field = useRef<HTMLInputElement>(null);
  const isDone = useRef(false);

  useEffect(() => {
    field.current?.focus();
    field.current?.select();
  }, []);

  function finish(isKept: boolean, isByKey = true) {
    if (isDone.current) return; // The field loses the focus as it goes away.
    isDone.current = true;
    const wanted = name.trim();
    onDone(isKept && wanted !== '' && wanted !== title ? wanted : undefined, isByKey);
  }

  return (
    <form
      className={styles.rename}
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        finish(true);
      }}
    >
      <input
        ref={field}
        value={name}
        maxLength={1000}
        aria-label={STRINGS.chatMenu.nameField}
        onChange={(event) => setName(event.target.value)}
        onBlur={() => finish(true, false)}
        onKeyDown={(event) => {
          if (event.key !== 'Escape') return;
          event.preventDefault();
          event.stopPropagation();
          finish(false);
        }}
      />
    </form>
  );
}

function DeleteDialog({ chat, title, onClose }: { chat: ChatSummary; title: string; onClose: () => void }) {
  const { remove } = useHistory();
  const [complaint, setComplaint] = useState<string>();
  const [isBusy, setIsBusy] = useState(false);

  async function confirm() {
    setIsBusy(true);
    try {
      await remove(chat.id);
      onClose();
      if (chat.id === route.get().chatId) openNewChat(); // Another one may be open by now.
    } catch (error) {
      setIsBusy(false);
      setComplaint(`${STRINGS.chatMenu.removeFailed} ${error instanceof Error ? error.message : ''}`);
    }
  }

  return (
    <Dialog title={STRINGS.chatMenu.confirmTitle} onClose={onClose}>
      <p>{STRINGS.chatMenu.confirmText(title)}</p>
      {complaint && (
        <p className={styles.complaint} role="alert">
          {complaint}
        </p>
      )}
      <div className={dialogStyles.buttons}>
        <button type="button" className="button" onClick={onClose} autoFocus>
          {STRINGS.chatMenu.cancel}
        </button>
        <button type="button" className="button button-danger" disabled={isBusy} onClick={() => void confirm()}>
          {STRINGS.chatMenu.remove}
        </button>
      </div>
    </Dialog>
  );
}
