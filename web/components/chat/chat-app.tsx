'use client';

import { useCallback, useEffect, useRef, useState } from 'react';
import { HistoryProvider } from '@/hooks/use-history';
import { useRoute } from '@/hooks/use-route';
import { ServerNotice } from '../server-notice';
import { Shell } from '../shell/shell';
import { OpenChat } from './open-chat';

export function ChatApp() {
  return (
    <HistoryProvider>
      <Shell>
        <ServerNotice />
        <main className="page">
          <Chats />
        </main>
      </Shell>
    </HistoryProvider>
  );
}

/** The chat that is shown, and those that are being answered meanwhile: leaving a chat does not stop its answer. */
function Chats() {
  const { chatId, isNew, find } = useRoute();
  const [busyIds, setBusyIds] = useState<readonly string[]>([]);

  const noteBusy = useCallback((id: string, isBusy: boolean) => {
    setBusyIds((known) => {
      if (known.includes(id) === isBusy) return known;
      return isBusy ? [...known, id] : known.filter((one) => one !== id);
    });
  }, []);

  // The script in the head has hidden the greeting, which stands in the file, from who opens a saved chat.
  useEffect(() => {
    delete document.documentElement.dataset.opening;
  }, []);

  // The file has a new chat without an id. The first new one takes its place, with the focus and what was written there.
  const first = useRef<string>(undefined);
  if (isNew && chatId !== '') first.current ??= chatId;

  const ids = [chatId, ...busyIds.filter((id) => id !== chatId)];
  return ids.map((id) => {
    const isShown = id === chatId;
    const words = isShown ? find : '';
    return (
      <OpenChat
        key={`${id === first.current ? '' : id} ${words}`}
        id={id}
        isNew={isShown && isNew}
        find={words}
        isShown={isShown}
        onBusy={noteBusy}
      />
    );
  });
}
