import { useEffect, useState, type RefObject } from 'react';

/** What is nearer than this to what can be seen is drawn in full, in heights of the view. */
const MARGIN = '150%';

/** One observer for all that scrolls together: a long chat has a thousand messages to watch. */
const watches = new WeakMap<Element, Watch>();

class Watch {
  private readonly waiting = new Map<Element, () => void>();
  private readonly observer: IntersectionObserver;

  constructor(root: Element) {
    // Only the margin of what scrolls reaches beyond its edges.
    this.observer = new IntersectionObserver((entries) => this.tell(entries), { root, rootMargin: `${MARGIN} 0px` });
  }

  /** Calls back once, when the element has come near. Returns how to give that up. */
  add(element: Element, onNear: () => void): () => void {
    this.waiting.set(element, onNear);
    this.observer.observe(element);
    return () => this.remove(element);
  }

  private remove(element: Element): void {
    this.waiting.delete(element);
    this.observer.unobserve(element);
  }

  private tell(entries: readonly IntersectionObserverEntry[]): void {
    for (const { isIntersecting, target } of entries) {
      const onNear = isIntersecting ? this.waiting.get(target) : undefined;
      if (onNear === undefined) continue;
      this.remove(target);
      onNear();
    }
  }
}

/**
 * Whether an element has come near to what can be seen, once.
 *
 * @param isFar - Whether to begin with the answer no; otherwise it is near from the first drawing on.
 */
export function useNearness(element: RefObject<HTMLElement | null>, isFar: boolean): boolean {
  const [isNear, setIsNear] = useState(!isFar);

  useEffect(() => {
    const root = element.current?.closest('[role=log]');
    if (isNear || !element.current) return;
    if (!root) return setIsNear(true);
    const watch = watches.get(root) ?? new Watch(root);
    watches.set(root, watch);
    return watch.add(element.current, () => setIsNear(true));
  }, [element, isNear]);

  return isNear;
}
