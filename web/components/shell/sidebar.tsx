'use client';

import { useMemo } from 'react';
import { useHistory } from '@/hooks/use-history';
import { useRoute } from '@/hooks/use-route';
import { useServer } from '@/hooks/use-server';
import { groupByDay } from '@/lib/days';
import { openNewChat } from '@/lib/route';
import { STRINGS } from '@/lib/strings';
import { BrandMark } from '../brand-mark';
import { NewChatIcon, SidebarIcon } from '../icons';
import { ChatRow } from './chat-row';
import { SearchField } from './search-field';
import { SidebarFooter } from './sidebar-footer';
import styles from './sidebar.module.css';

type SidebarProps = {
  onClose: () => void;
  /** A chat was chosen: a drawer closes. */
  onChosen: () => void;
  onShowShortcuts: () => void;
};

/** All chats of the visitor, and the way to a new one. */
export function Sidebar({ onClose, onChosen, onShowShortcuts }: SidebarProps) {
  const { status } = useHistory();
  return (
    <nav className={styles.sidebar} aria-label={STRINGS.sidebar.label}>
      <div className={styles.top}>
        <span className={styles.brand}>
          <BrandMark />
          {STRINGS.product}
        </span>
        <button type="button" className="icon-button" title={STRINGS.sidebar.close} onClick={onClose}>
          <SidebarIcon />
          <span className="visually-hidden">{STRINGS.sidebar.close}</span>
        </button>
      </div>
      <div className={styles.tools}>
        <button
          type="button"
          className={styles.newChat}
          data-testid="new-chat"
          onClick={() => {
            openNewChat();
            onChosen();
          }}
        >
          <NewChatIcon />
          {STRINGS.newChat}
        </button>
        {status !== 'off' && <SearchField />}
      </div>
      <div className={styles.list} tabIndex={-1}>
        {status !== 'off' && <ChatList onChosen={onChosen} />}
      </div>
      <SidebarFooter onShowShortcuts={onShowShortcuts} />
    </nav>
  );
}

function ChatList({ onChosen }: { onChosen: () => void }) {
  const { status, chats, hasMore, listedFor: find, loadMore, refresh } = useHistory();
  const { chatId, isNew } = useRoute();
  const { state: server } = useServer();
  const groups = useMemo(() => groupByDay(chats, new Date()), [chats]);

  if (server.status === 'unauthorized' || server.status === 'unreachable') return null; // Which the page says.
  if (status === 'loading') return <p className={styles.note}>{STRINGS.sidebar.loading}</p>;
  if (status === 'failed' && chats.length === 0) {
    return (
      <div className={styles.note}>
        <p>{STRINGS.sidebar.failed}</p>
        <button type="button" className="button" onClick={refresh}>
          {STRINGS.sidebar.again}
        </button>
      </div>
    );
  }
  if (chats.length === 0) {
    return <p className={styles.note}>{find ? STRINGS.sidebar.nothingFound(find) : STRINGS.sidebar.empty}</p>;
  }
  return (
    <>
      {groups.map((group) => (
        <section key={group.label} className={styles.group} aria-label={group.label}>
          <h2>{group.label}</h2>
          <ul>
            {group.chats.map((chat) => (
              <ChatRow
                key={chat.id}
                chat={chat}
                find={find}
                isCurrent={!isNew && chat.id === chatId}
                onChosen={onChosen}
              />
            ))}
          </ul>
        </section>
      ))}
      {hasMore && (
        <button type="button" className={styles.more} ref={(button) => whenSeen(button, loadMore)} onClick={loadMore}>
          {STRINGS.sidebar.more}
        </button>
      )}
    </>
  );
}

/** The list goes on by itself where its end comes into sight. */
function whenSeen(element: HTMLElement | null, act: () => void): (() => void) | undefined {
  if (element === null) return undefined;
  const observer = new IntersectionObserver(([entry]) => {
    if (entry?.isIntersecting) act();
  });
  observer.observe(element);
  return () => observer.disconnect();
}
