'use client';

import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactNode } from 'react';
import styles from './menu.module.css';

export type MenuItem = { label: string; icon: ReactNode; isDangerous?: boolean; run: () => void };

type MenuProps = {
  label: string;
  icon: ReactNode;
  className?: string;
  items: readonly MenuItem[];
};

/** A button with a menu, in the layer above the page: a list that scrolls does not cut it. */
export function Menu({ label, icon, className, items }: MenuProps) {
  const [isOpen, setIsOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const menu = useRef<HTMLDivElement>(null);
  const menuId = useId();

  useEffect(() => {
    const element = menu.current;
    if (!isOpen || !element || !button.current) return;
    element.showPopover();
    const place = button.current.getBoundingClientRect();
    const { width, height } = element.getBoundingClientRect();
    const top = place.bottom + 4 + height > window.innerHeight ? place.top - 4 - height : place.bottom + 4;
    element.style.top = `${Math.max(4, top)}px`;
    element.style.left = `${Math.max(4, Math.min(place.left, window.innerWidth - width - 4))}px`;
    element.querySelector<HTMLElement>('[role=menuitem]')?.focus();
    const close = () => setIsOpen(false);
    window.addEventListener('resize', close);
    return () => window.removeEventListener('resize', close);
  }, [isOpen]);

  function onKeyDown(event: KeyboardEvent) {
    const entries = [...(menu.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? [])];
    const at = entries.findIndex((entry) => entry === document.activeElement);
    const steps: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    const step = steps[event.key];
    if (step !== undefined) {
      event.preventDefault();
      entries.at(step % entries.length)?.focus();
    } else if (event.key === 'Escape' || event.key === 'Tab') {
      if (event.key === 'Escape') event.preventDefault();
      event.stopPropagation();
      setIsOpen(false);
      button.current?.focus();
    }
  }

  return (
    <>
      <button
        ref={button}
        type="button"
        className={className}
        title={label}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        aria-controls={isOpen ? menuId : undefined}
        onClick={() => setIsOpen(!isOpen)}
      >
        {icon}
        <span className="visually-hidden">{label}</span>
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
            <button
              key={item.label}
              type="button"
              role="menuitem"
              tabIndex={-1}
              data-dangerous={item.isDangerous}
              onClick={() => {
                setIsOpen(false);
                button.current?.focus();
                item.run();
              }}
            >
              {item.icon}
              {item.label}
            </button>
          ))}
        </div>
      )}
    </>
  );
}
