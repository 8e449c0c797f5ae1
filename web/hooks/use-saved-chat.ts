import { useCallback, useEffect, useState } from 'react';
import { choosePath, loadChat, type SavedChat } from '@/lib/chats';
import { findMessage } from '@/lib/find-message';
import { Refusal } from '@/lib/refusal';
import { useServer } from './use-server';

export type OpenedChat =
  | { status: 'loading' }
  /** `saved` is absent for a new chat; `found` is the message that was searched for. */
  | { status: 'ready'; saved?: SavedChat; found?: string }
  | { status: 'missing' }
  | { status: 'failed'; error: Error };

/**
 * A saved chat as it was when it was opened.
 *
 * @param find - Words of a message, whose path is shown.
 */
export function useSavedChat(id: string, isNew: boolean, find: string): [OpenedChat, () => void] {
  const { state: server, noteStranger } = useServer();
  const [chat, setChat] = useState<OpenedChat>(() => ({ status: isNew ? 'ready' : 'loading' }));
  const [attempt, setAttempt] = useState(0);
  const isReady = chat.status === 'ready';
  const isReachable = server.status === 'ready' || server.status === 'unknown';

  useEffect(() => {
    if (isReady || !isReachable) return;
    let isCurrent = true;
    open(id, find)
      .catch((error: Error): OpenedChat => {
        if (error instanceof Refusal && error.status === 401) noteStranger(error);
        const isMissing = error instanceof Refusal && (error.status === 404 || error.status === 400);
        return isMissing ? { status: 'missing' } : { status: 'failed', error };
      })
      .then((opened) => {
        if (isCurrent) setChat(opened);
      });
    return () => {
      isCurrent = false;
    };
  }, [id, find, isReady, isReachable, attempt, noteStranger]);

  const retry = useCallback(() => {
    setChat({ status: 'loading' });
    setAttempt((number) => number + 1);
  }, []);
  return [chat, retry];
}

async function open(id: string, find: string): Promise<OpenedChat> {
  const saved = await loadChat(id, { hasTree: find !== '' });
  const match = find === '' ? undefined : findMessage(saved, find);
  if (match === undefined) return { status: 'ready', saved };
  const isShown = saved.places.some((place) => place.node === match.place.node);
  // Another path cannot be chosen while an answer is made; then the chat is shown as it is.
  const shown = isShown ? saved : await choosePath(id, match.place.node).catch(() => saved);
  return { status: 'ready', saved: shown, found: match.message.id };
}
