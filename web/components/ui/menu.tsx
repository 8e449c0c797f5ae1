'use client';

import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactNode } from 'react';
import { CheckIcon } from '../icons';
import styles from './menu.module.css';

export type MenuItem = {
  label: string;
  /** A second line. */
  hint?: string;
  icon?: ReactNode;
  /** Present where one of the items is chosen. */
  isChosen?: boolean;
  isDangerous?: boolean;
  run: () => void;
};

type MenuProps = {
  label: string;
  className?: string;
  testId?: string;
  items: readonly MenuItem[];
  /** What stands on the button, for those who see it. */
  children: ReactNode;
};

const ITEM = '[role^=menuitem]';

/** A button with a menu, in the layer above the page: a list that scrolls does not cut it. */
export function Menu({ label, className, testId, items, children }: MenuProps) {
  const [isOpen, setIsOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const menu = useRef<HTMLDivElement>(null);
  const menuId = useId();

  useEffect(() => {
    const element = menu.current;
    if (!isOpen || !element || !button.current) return;
    element.showPopover();
    placeBeside(element, button.current.getBoundingClientRect());
    (element.querySelector<HTMLElement>('[aria-checked=true]') ?? element.querySelector<HTMLElement>(ITEM))?.focus();
    const close = () => setIsOpen(false);
    window.addEventListener('resize', close);
    return () => window.removeEventListener('resize', close);
  }, [isOpen]);

  function closeToButton() {
    setIsOpen(false);
    button.current?.focus();
  }

  function onKeyDown(event: KeyboardEvent) {
    const entries = [...(menu.current?.querySelectorAll<HTMLElement>(ITEM) ?? [])];
    const at = entries.findIndex((entry) => entry === document.activeElement);
    const steps: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    const step = steps[event.key];
    if (step !== undefined) {
      event.preventDefault();
      entries.at(step % entries.length)?.focus();
    } else if (event.key === 'Escape' || event.key === 'Tab') {
      if (event.key === 'Escape') event.preventDefault();
      event.stopPropagation();
      closeToButton();
    }
  }

  return (
    <>
      <button
        ref={button}
        type="button"
        className={className}
        title={label}
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        aria-controls={isOpen ? menuId : undefined}
        data-testid={testId}
        onClick={() => setIsOpen(!isOpen)}
      >
        {children}
      </button>
      {isOpen && (
        <div
          ref={menu}
          id={menuId}
          className={styles.menu}
          role="menu"
          aria-label={label}
          popover="auto"
          onKeyDown={onKeyDown}
          onToggle={(event) => {
            if (event.newState === 'closed') setIsOpen(false);
          }}
        >
          {items.map((item) => (
            <MenuButton
              key={item.label}
              item={item}
              onPick={() => {
                closeToButton();
                item.run();
              }}
            />
          ))}
        </div>
      )}
    </>
  );
}

function MenuButton({ item, onPick }: { item: MenuItem; onPick: () => void }) {
  return (
    <button
      type="button"
      role={item.isChosen === undefined ? 'menuitem' : 'menuitemradio'}
      aria-checked={item.isChosen}
      tabIndex={-1}
      data-dangerous={item.isDangerous}
      onClick={onPick}
    >
      {item.icon}
      <span className={styles.words}>
        {item.label}
        {item.hint && <span className={styles.hint}>{item.hint}</span>}
      </span>
      {item.isChosen && <CheckIcon />}
    </button>
  );
}

/** Below the button, or above it where there is no room. */
function placeBeside(element: HTMLElement, button: DOMRect): void {
  const { width, height } = element.getBoundingClientRect();
  const below = button.bottom + 4;
  const top = below + height > window.innerHeight ? button.top - 4 - height : below;
  element.style.top = `${Math.max(4, top)}px`;
  element.style.left = `${Math.max(4, Math.min(button.left, window.innerWidth - width - 4))}px`;
}
