import { useEffect, useRef } from 'react';

/** A key with what must be held: `mod` is Ctrl, or Command on a Mac. */
export type Shortcut = {
  key: string;
  mod?: boolean;
  shift?: boolean;
  /** Also while a text is being written. */
  isGlobal?: boolean;
  run: () => void;
};

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

function matches(event: KeyboardEvent, shortcut: Shortcut): boolean {
  const isMod = event.ctrlKey || event.metaKey;
  if (event.key.toLowerCase() !== shortcut.key.toLowerCase() || isMod !== (shortcut.mod ?? false)) return false;
  // `?` and `/` are written with Shift on some keyboards.
  return shortcut.shift === undefined || event.shiftKey === shortcut.shift;
}

/** What lies above the page, and has the keys for itself. */
const ABOVE = 'dialog:modal, :popover-open';

/** Runs shortcuts wherever the focus is, but where something lies above the page. */
export function useShortcuts(shortcuts: readonly Shortcut[]): void {
  const latest = useRef(shortcuts);
  useEffect(() => {
    latest.current = shortcuts;
  });
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.isComposing || event.altKey) return;
      const found = latest.current.find((shortcut) => matches(event, shortcut));
      if (!found || (!found.isGlobal && isTyping(event.target)) || document.querySelector(ABOVE)) return;
      event.preventDefault();
      found.run();
    };
    window.addEventListener('keydown', onKeyDown);
    return () => window.removeEventListener('keydown', onKeyDown);
  }, []);
}
