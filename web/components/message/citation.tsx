'use client';

import { createContext, useCallback, useContext, useEffect, useId, useRef, useState } from 'react';
import type { Source } from '@/lib/sources';
import { FileIcon, LinkIcon } from '../icons';
import styles from './citation.module.css';
import { STRINGS } from './strings';

const Context = createContext<readonly Source[]>([]);

/** The sources that the marks in an answer stand for. */
export const CitedSources = Context.Provider;

const LEAVING_MS = 200;
const MARGIN = 12;

/** The number of a source, in the sentence that rests on it; pointed at or pressed, it shows what the source says. */
export function CitationMark({ number }: { number: number }) {
  const source = useContext(Context)[number - 1];
  const [isOpen, setIsOpen] = useState(false);
  const mark = useRef<HTMLButtonElement>(null);
  const leaving = useRef<ReturnType<typeof setTimeout>>(undefined);
  /** One that was pressed stays when the mark is scrolled away from the mouse. */
  const isKept = useRef(false);
  const id = useId();
  useEffect(() => () => clearTimeout(leaving.current), []);
  const close = useCallback(() => {
    isKept.current = false;
    setIsOpen(false);
  }, []);

  if (source === undefined) return null;
  const stay = () => clearTimeout(leaving.current);
  const leave = () => {
    stay();
    if (isKept.current) return;
    leaving.current = setTimeout(close, LEAVING_MS);
  };
  return (
    <span
      className={styles.citation}
      onPointerEnter={(event) => {
        stay();
        if (event.pointerType === 'mouse') setIsOpen(true);
      }}
      onPointerLeave={(event) => event.pointerType === 'mouse' && leave()}
    >
      <button
        ref={mark}
        type="button"
        className={styles.mark}
        aria-label={STRINGS.source(number, source.title)}
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        // Without these a click on the mark is one beside the preview, which closes it.
        popoverTarget={id}
        popoverTargetAction="show"
        onClick={() => {
          stay();
          isKept.current = true;
          setIsOpen(true);
        }}
        data-testid="citation"
      >
        {number}
      </button>
      {isOpen && <Preview id={id} source={source} mark={mark} onClose={close} />}
    </span>
  );
}

function placeBeside(card: HTMLElement, anchor: HTMLElement): void {
  const { left, top, bottom } = anchor.getBoundingClientRect();
  const { width, height } = card.getBoundingClientRect();
  const isRoomBelow = bottom + height + MARGIN < window.innerHeight;
  card.style.left = `${Math.max(MARGIN, Math.min(left - MARGIN, window.innerWidth - width - MARGIN))}px`;
  card.style.top = `${isRoomBelow ? bottom + 4 : Math.max(MARGIN, top - height - 4)}px`;
}

type PreviewProps = {
  id: string;
  source: Source;
  mark: React.RefObject<HTMLButtonElement | null>;
  onClose: () => void;
};

/** In the browser's top layer, where nothing cuts it off; Escape or a click beside it closes it. */
function Preview({ id, source, mark, onClose }: PreviewProps) {
  const card = useRef<HTMLSpanElement>(null);

  useEffect(() => {
    const element = card.current;
    if (element === null || mark.current === null) return;
    const anchor = mark.current;
    const place = () => placeBeside(element, anchor);
    const onToggle = (event: Event) => (event as ToggleEvent).newState === 'closed' && onClose();
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return;
      event.preventDefault(); // It closes this, and does nothing else that the page has it do.
      onClose();
    };
    element.showPopover?.();
    place();
    window.addEventListener('keydown', onKeyDown, { capture: true });
    element.addEventListener('toggle', onToggle);
    window.addEventListener('scroll', place, { capture: true, passive: true });
    return () => {
      window.removeEventListener('keydown', onKeyDown, { capture: true });
      element.removeEventListener('toggle', onToggle);
      window.removeEventListener('scroll', place, { capture: true });
    };
  }, [mark, onClose]);

  const { href, title, detail, quotes } = source;
  return (
    <span ref={card} id={id} className={styles.card} popover="auto" data-testid="citation-preview">
      <span className={styles.title} dir="auto">
        {href ? <LinkIcon /> : <FileIcon />}
        {href ? (
          <a href={href} target="_blank" rel="noreferrer">
            {title}
          </a>
        ) : (
          title
        )}
      </span>
      {detail && <span className={styles.detail}>{detail}</span>}
      {quotes.slice(0, 3).map((quote) => (
        <q key={quote} className={styles.quote} dir="auto">
          {quote}
        </q>
      ))}
    </span>
  );
}
