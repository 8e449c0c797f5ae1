import { useCallback, useEffect, useRef, useState } from 'react';

/** How far from the end still counts as reading along, in CSS pixels. */
const NEAR = 40;

function isNearBottom(element: HTMLElement): boolean {
  return element.scrollHeight - element.scrollTop - element.clientHeight <= NEAR;
}

/**
 * Keeps a scrolling element at its end while its content grows, and lets go as soon as the reader scrolls up.
 *
 * `scrollRef` goes to the element that scrolls, `contentRef` to the one inside it that grows.
 *
 * @param isOn - Off for a greeting, which is read from its beginning.
 */
export function useStickToBottom(isOn: boolean) {
  const scrollRef = useRef<HTMLDivElement>(null);
  const contentRef = useRef<HTMLDivElement>(null);
  const isSticking = useRef(true);
  const isOnNow = useRef(isOn);
  isOnNow.current = isOn;
  const [isAtBottom, setIsAtBottom] = useState(true);

  const scrollToBottom = useCallback(() => {
    const element = scrollRef.current;
    if (element === null) return;
    isSticking.current = true;
    setIsAtBottom(true);
    element.scrollTop = element.scrollHeight;
  }, []);

  /** The reader is elsewhere: growing content does not move them. */
  const letGo = useCallback(() => {
    isSticking.current = false;
  }, []);

  useEffect(() => {
    const element = scrollRef.current;
    const content = contentRef.current;
    if (element === null || content === null) return;

    let lastTop = element.scrollTop;
    const onScroll = () => {
      // Content that grew between two frames also puts the end out of reach; only moving upwards lets go.
      if (isNearBottom(element)) isSticking.current = true;
      else if (element.scrollTop < lastTop) isSticking.current = false;
      lastTop = element.scrollTop;
      setIsAtBottom(isSticking.current);
    };
    const follow = () => {
      if (isSticking.current && isOnNow.current) element.scrollTop = element.scrollHeight;
    };

    const observer = new ResizeObserver(follow);
    observer.observe(content);
    observer.observe(element);
    element.addEventListener('scroll', onScroll, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener('scroll', onScroll);
    };
  }, []);

  return { scrollRef, contentRef, isAtBottom, scrollToBottom, letGo };
}
