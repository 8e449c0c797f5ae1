'use client';

import { useHistory } from '@/hooks/use-history';
import { useRoute } from '@/hooks/use-route';
import { openNewChat } from '@/lib/route';
import { STRINGS } from '@/lib/strings';
import { NewChatIcon, SidebarIcon } from '../icons';
import { ModelName } from '../model-name';
import styles from './header.module.css';

type HeaderProps = {
  isSidebarShown: boolean;
  onShowSidebar: () => void;
};

/** Which chat this is, and which model answers. */
export function Header({ isSidebarShown, onShowSidebar }: HeaderProps) {
  const { titles } = useHistory();
  const { chatId, isNew } = useRoute();
  const isKnown = !isNew && titles.has(chatId);
  return (
    <header className={styles.header}>
      {!isSidebarShown && (
        <>
          <button
            type="button"
            className="icon-button"
            title={STRINGS.sidebar.open}
            aria-expanded={false}
            onClick={onShowSidebar}
            data-testid="open-sidebar"
          >
            <SidebarIcon />
            <span className="visually-hidden">{STRINGS.sidebar.open}</span>
          </button>
          <button type="button" className="icon-button" title={STRINGS.newChat} onClick={openNewChat}>
            <NewChatIcon />
            <span className="visually-hidden">{STRINGS.newChat}</span>
          </button>
        </>
      )}
      <p className={styles.title} data-testid="chat-title">
        {isKnown ? (titles.get(chatId) ?? STRINGS.untitled) : ''}
      </p>
      <ModelName />
    </header>
  );
}
