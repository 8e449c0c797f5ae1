'use client';

import { useCallback, useEffect, useLayoutEffect, useRef, useState, type ReactNode } from 'react';
import { flushSync } from 'react-dom';
import { useMediaQuery } from '@/hooks/use-media-query';
import { useShortcuts } from '@/hooks/use-shortcuts';
import { openNewChat } from '@/lib/route';
import { recall, remember } from '@/lib/storage';
import { STRINGS } from '@/lib/strings';
import { Header } from './header';
import { SEARCH_ID } from './search-field';
import styles from './shell.module.css';
import { ShortcutsDialog } from './shortcuts-dialog';
import { Sidebar } from './sidebar';

/** Where the list of chats is a drawer. */
export const NARROW = '(max-width: 52rem)';

/** The list of chats beside the chat, or in a drawer where there is no room. */
export function Shell({ children }: { children: ReactNode }) {
  const isNarrow = useMediaQuery(NARROW);
  const [isOpen, setIsOpen] = useState(true);
  const [isDrawerOpen, setIsDrawerOpen] = useState(false);
  const [isHelpOpen, setIsHelpOpen] = useState(false);

  useEffect(() => setIsOpen(recall('sidebar') !== 'closed'), []);

  const show = useCallback(
    (isShown: boolean) => {
      if (isNarrow) return setIsDrawerOpen(isShown);
      setIsOpen(isShown);
      remember('sidebar', isShown ? null : 'closed');
    },
    [isNarrow],
  );
  const isShown = isNarrow ? isDrawerOpen : isOpen;
  const showHelp = () => setIsHelpOpen(true);

  useShortcuts([
    { key: 'o', mod: true, shift: true, isGlobal: true, run: openNewChat },
    {
      key: 'k',
      mod: true,
      isGlobal: true,
      run: () => {
        // The field must be there before the next key is pressed.
        flushSync(() => show(true));
        document.getElementById(SEARCH_ID)?.focus();
      },
    },
    { key: 'b', mod: true, isGlobal: true, run: () => show(!isShown) },
    { key: '/', mod: true, isGlobal: true, run: showHelp },
    { key: '?', run: showHelp },
    { key: '/', run: () => document.getElementById('prompt')?.focus() },
  ]);

  const closeDrawer = () => setIsDrawerOpen(false);
  const sidebar = (
    <Sidebar
      onClose={() => show(false)}
      onChosen={closeDrawer}
      onShowShortcuts={() => {
        closeDrawer();
        showHelp();
      }}
    />
  );
  return (
    <div className={styles.shell}>
      {isNarrow
        ? isDrawerOpen && <Drawer onClose={closeDrawer}>{sidebar}</Drawer>
        : isOpen && <div className={styles.aside}>{sidebar}</div>}
      <div className={styles.main}>
        <Header isSidebarShown={!isNarrow && isOpen} onShowSidebar={() => show(true)} />
        {children}
      </div>
      {isHelpOpen && <ShortcutsDialog onClose={() => setIsHelpOpen(false)} />}
    </div>
  );
}

function Drawer({ onClose, children }: { onClose: () => void; children: ReactNode }) {
  const dialog = useRef<HTMLDialogElement>(null);

  useLayoutEffect(() => {
    const element = dialog.current;
    if (element && !element.open) element.showModal();
    return () => element?.close();
  }, []);

  return (
    <dialog
      ref={dialog}
      className={styles.drawer}
      aria-label={STRINGS.sidebar.label}
      onCancel={(event) => {
        event.preventDefault();
        if (event.target === dialog.current) onClose();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) onClose();
      }}
    >
      {children}
    </dialog>
  );
}
