import { useLayoutEffect, type RefObject } from 'react';

/** The style sheet then lets fields grow, and no key makes the page lay itself out twice. */
const growsByItself = () => CSS.supports('field-sizing', 'content');

/** Lets a textarea grow with its text; `max-height` in the style sheet is where it begins to scroll instead. */
export function useAutoGrow(ref: RefObject<HTMLTextAreaElement | null>, text: string): void {
  useLayoutEffect(() => {
    const element = ref.current;
    if (element === null || growsByItself()) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight}px`;
  }, [ref, text]);
}
