import { useEffect, useState, type RefObject } from 'react';

/** What is nearer than this to what can be seen is drawn in full, in heights of the view. */
const MARGIN = '150%';

/**
 * Whether an element has come near to what can be seen, once.
 *
 * @param isFar - Whether to begin with the answer no; otherwise it is near from the first drawing on.
 */
export function useNearness(element: RefObject<HTMLElement | null>, isFar: boolean): boolean {
  const [isNear, setIsNear] = useState(!isFar);

  useEffect(() => {
    if (isNear || element.current === null) return;
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) setIsNear(true);
      },
      // Only the margin of what scrolls reaches beyond its edges.
      { root: element.current.closest('[role=log]'), rootMargin: `${MARGIN} 0px` },
    );
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element, isNear]);

  return isNear;
}
