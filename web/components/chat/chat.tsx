'use client';

import type { FileUIPart } from 'ai';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { useAttachments } from '@/hooks/use-attachments';
import { useConversation, type Conversation } from '@/hooks/use-conversation';
import { useFileDrop } from '@/hooks/use-file-drop';
import { useHistory } from '@/hooks/use-history';
import { useShortcuts } from '@/hooks/use-shortcuts';
import { useStickToBottom } from '@/hooks/use-stick-to-bottom';
import { changeChat, type SavedChat } from '@/lib/chats';
import { writtenText } from '@/lib/message-text';
import { canHover } from '@/lib/can-hover';
import { draftOf, keepDraft } from '@/lib/drafts';
import { STRINGS } from '@/lib/strings';
import type { ChatMessage } from '@/lib/types';
import { ArrowDownIcon, PaperclipIcon } from '../icons';
import styles from './chat.module.css';
import { Composer } from './composer';
import { EmptyState } from './empty-state';
import { ErrorNotice } from './error-notice';
import { MessageList } from './message-list';
import type { MessageHandlers } from './message';
import { ModelSelect } from './model-select';
import { StatusLine } from './status-line';

type ChatProps = {
  id: string;
  isNew: boolean;
  saved: SavedChat | undefined;
  /** The message to go to. */
  found: string | undefined;
  isShown: boolean;
  /** Whether the field to write in takes the focus as it appears. */
  takesFocus: () => boolean;
  onBusy: (id: string, isBusy: boolean) => void;
  onReload: () => void;
};

/** A chat that is open. One that is not shown goes on reading its answer, and shows nothing. */
export function Chat({ id, isNew, saved, found, isShown, takesFocus, onBusy, onReload }: ChatProps) {
  const history = useHistory();
  const [chosenModel, setChosenModel] = useState(() => modelOf(saved));
  const isSaved = history.status !== 'off';
  const { noteEnd, noteTitle } = history;
  const onSettled = useCallback(() => noteEnd(id), [noteEnd, id]);
  const conversation = useConversation({ id, saved, chosenModel, isSaved, onSettled });
  const { isBusy } = conversation;
  useEffect(() => {
    if (saved) noteTitle(id, saved.title);
  }, [id, saved, noteTitle]);
  useEffect(() => onBusy(id, isBusy), [id, isBusy, onBusy]);
  useEffect(() => () => onBusy(id, false), [id, onBusy]);

  const chooseModel = useCallback(
    (model: string) => {
      setChosenModel(model);
      // What cannot be kept now is told by the next answer.
      if (saved) changeChat(id, { metadata: { model } }).catch(() => undefined);
    },
    [id, saved],
  );

  if (!isShown) return null;
  return (
    <ChatView
      id={id}
      isNew={isNew}
      isSaved={isSaved}
      isBusy={isBusy}
      conversation={conversation}
      found={found}
      model={chosenModel}
      takesFocus={takesFocus}
      onReload={onReload}
      onChooseModel={chooseModel}
    />
  );
}

type ChatViewProps = {
  id: string;
  isNew: boolean;
  /** Whether the server keeps chats. */
  isSaved: boolean;
  isBusy: boolean;
  conversation: Conversation;
  found: string | undefined;
  model: string | undefined;
  takesFocus: () => boolean;
  onReload: () => void;
  onChooseModel: (model: string) => void;
};

function ChatView(props: ChatViewProps) {
  const { id, isNew, isSaved, isBusy, conversation, found, model, takesFocus, onReload, onChooseModel } = props;
  const history = useHistory();
  const { messages, ended, error, clearError, send: sendToServer, edit, retry, stop, answerAgain } = conversation;
  const { scrollRef, contentRef, isAtBottom, scrollToBottom, letGo } = useStickToBottom(messages.length > 0);
  const attachments = useAttachments();
  const [editedId, setEditedId] = useState<string>();

  useTitle(history.titles.get(id));
  useGoTo(found, letGo);

  // The buttons in the log go away when they are pressed. The field takes the focus, unless that raised a keyboard.
  const moveFocus = useCallback(() => {
    const field = canHover() ? document.getElementById('prompt') : scrollRef.current;
    field?.focus({ preventScroll: true });
  }, [scrollRef]);

  const { note } = history;
  const send = useCallback(
    (text: string, files: FileUIPart[]) => {
      scrollToBottom();
      sendToServer(text, files);
      if (!isSaved) return;
      // After the question stands there: all around the chat changes with it.
      setTimeout(() => note(id, text || (files[0]?.filename ?? '')));
    },
    [id, isSaved, note, scrollToBottom, sendToServer],
  );

  const again = useCallback(() => {
    moveFocus();
    void retry();
  }, [moveFocus, retry]);

  const { showVersion } = conversation;
  const handlers = useMemo<MessageHandlers>(
    () => ({
      beginEdit: setEditedId,
      endEdit: () => {
        setEditedId(undefined);
        moveFocus();
      },
      edit: (message, text) => {
        setEditedId(undefined);
        moveFocus();
        edit(message, text);
      },
      regenerate: (messageId) => {
        moveFocus();
        answerAgain(messageId);
      },
      showVersion: (node) => {
        letGo();
        void showVersion(node).catch(() => undefined);
      },
    }),
    [edit, answerAgain, showVersion, moveFocus, letGo],
  );

  // Else the key is left to what closes by it.
  const canStop = isBusy && editedId === undefined;
  useShortcuts(canStop ? [{ key: 'Escape', isGlobal: true, run: () => void stop() }] : []);

  /** The chat is loaded again; what was not sent goes back into the field. */
  const reload = () => {
    const last = messages.at(-1);
    if (last?.role === 'user') keepDraft(id, [writtenText(last), draftOf(id)].filter(Boolean).join('\n\n'));
    onReload();
  };

  const drop = useFileDrop(attachments.add);
  const lastQuestion = isBusy ? undefined : messages.findLast((message) => message.role === 'user')?.id;
  const editLast = useMemo(
    () => (lastQuestion === undefined ? undefined : () => setEditedId(lastQuestion)),
    [lastQuestion],
  );
  const modelSelect = useMemo(() => <ModelSelect value={model} onChange={onChooseModel} />, [model, onChooseModel]);
  return (
    <div className={styles.chat} {...drop.handlers}>
      {/* The keyboard scrolls what it can focus. What arrives is told once, by the status line. */}
      <div
        ref={scrollRef}
        className={styles.log}
        role="log"
        aria-label={STRINGS.conversation}
        aria-live="off"
        aria-busy={isBusy}
        tabIndex={0}
      >
        <div ref={contentRef} className={styles.column}>
          {messages.length === 0 && !error && <EmptyState onPick={(text) => send(text, [])} />}
          <MessageList
            conversation={conversation}
            isBusy={isBusy}
            editedId={editedId}
            found={found}
            handlers={handlers}
            moveFocus={moveFocus}
          />
          {error && <ErrorNotice error={error} onRetry={again} onDismiss={clearError} onReload={isSaved ? reload : undefined} />}
        </div>
      </div>

      <div className={styles.dock}>
        {!isAtBottom && (
          <button type="button" className={styles.jump} title={STRINGS.toEnd} onClick={scrollToBottom}>
            <ArrowDownIcon />
            <span className="visually-hidden">{STRINGS.toEnd}</span>
          </button>
        )}
        <div className={styles.column}>
          <Composer
            draftName={isNew ? 'new' : id}
            isBusy={isBusy}
            attachments={attachments}
            onSend={send}
            onStop={stop}
            onEditLast={editLast}
            takesFocus={takesFocus}
          >
            {modelSelect}
          </Composer>
        </div>
      </div>
      {drop.isOver && (
        <div className={styles.drop} aria-hidden="true">
          <PaperclipIcon />
          {STRINGS.composer.drop}
        </div>
      )}
      <StatusLine isBusy={isBusy} ended={ended} />
    </div>
  );
}

/** The model that was chosen for this chat, or that wrote its last answer. */
function modelOf(saved: SavedChat | undefined): string | undefined {
  const chosen = saved?.metadata.model;
  if (typeof chosen === 'string') return chosen;
  return saved?.messages.findLast((message: ChatMessage) => message.metadata?.model)?.metadata?.model;
}

function useTitle(title: string | null | undefined): void {
  useEffect(() => {
    document.title = title ? `${title} · ${STRINGS.product}` : STRINGS.product;
  }, [title]);
}

/** Brings the message that was searched for into sight, once. */
function useGoTo(messageId: string | undefined, letGo: () => void): void {
  const isDone = useRef(false);
  useEffect(() => {
    if (messageId === undefined || isDone.current) return;
    isDone.current = true;
    letGo();
    document.querySelector(`[data-message-id="${CSS.escape(messageId)}"]`)?.scrollIntoView({ block: 'center' });
  }, [messageId, letGo]);
}
