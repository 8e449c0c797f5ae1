'use client';

import { lazy, Suspense, useEffect } from 'react';
import { whenIdle } from '@/lib/when-idle';
import styles from './message-body.module.css';

const load = () => import('./markdown/markdown');
const Markdown = lazy(() => load().then((module) => ({ default: module.Markdown })));

/** So much of a text stands there until there is Markdown: the page would have to lay all of it out, and once more after. */
const MOST_PLAIN = 4_000;

type AnswerTextProps = {
  text: string;
  /** Whether more of the text will come. */
  isStreaming: boolean;
};

/** A text of an answer, with Markdown, whose code the empty page does without: until it is there, the words as they are. */
export function AnswerText({ text, isStreaming }: AnswerTextProps) {
  return (
    <Suspense fallback={<div className={styles.plain}>{text.slice(0, MOST_PLAIN)}</div>}>
      <Markdown text={text} isStreaming={isStreaming} />
    </Suspense>
  );
}

let isAsked = false;

/** Loads what answers need as soon as there is a message, or one is being written. */
export function useMarkdownSoon(isNeeded: boolean): void {
  useEffect(() => {
    if (!isNeeded || isAsked) return;
    isAsked = true;
    // Without the network there is no answer either; what fails is asked for again by the answer.
    const begin = () => load().then(({ warmUp }) => warmUp()).catch(() => undefined);
    whenIdle(() => void begin());
  }, [isNeeded]);
}
