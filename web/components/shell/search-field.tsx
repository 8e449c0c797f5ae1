'use client';

import { useEffect, useRef } from 'react';
import { useHistory } from '@/hooks/use-history';
import { STRINGS } from '@/lib/strings';
import { CloseIcon, SearchIcon } from '../icons';
import styles from './sidebar.module.css';

/** Where the shortcut goes. */
export const SEARCH_ID = 'chat-search';

/** Searches the titles and the messages of all chats. */
export function SearchField() {
  const { search, setSearch, listedFor, chats, status } = useHistory();
  const field = useRef<HTMLInputElement>(null);
  const words = search.trim();

  // What was written before the page could listen.
  useEffect(() => {
    if (field.current?.value) setSearch(field.current.value);
  }, [setSearch]);

  return (
    <div className={styles.search} role="search">
      <SearchIcon />
      <input
        ref={field}
        id={SEARCH_ID}
        type="text"
        inputMode="search"
        value={search}
        placeholder={STRINGS.sidebar.search}
        aria-label={STRINGS.sidebar.search}
        autoComplete="off"
        onChange={(event) => setSearch(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Escape' || search === '') return;
          event.preventDefault(); // A drawer around it stays open.
          event.stopPropagation();
          setSearch('');
        }}
      />
      {search !== '' && (
        <button type="button" title={STRINGS.sidebar.clearSearch} onClick={() => setSearch('')}>
          <CloseIcon />
          <span className="visually-hidden">{STRINGS.sidebar.clearSearch}</span>
        </button>
      )}
      <span className="visually-hidden" role="status">
        {words !== '' && words === listedFor && status === 'ready' && STRINGS.sidebar.found(chats.length)}
      </span>
    </div>
  );
}
