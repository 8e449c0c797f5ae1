'use client';

import { lazy, Suspense, useEffect } from 'react';
import styles from './message-body.module.css';

const load = () => import('./markdown/markdown');
const Markdown = lazy(() => load().then((module) => ({ default: module.Markdown })));

type AnswerTextProps = {
  text: string;
  /** Whether more of the text will come. */
  isStreaming: boolean;
};

/** A text of an answer, with Markdown, whose code the empty page does without: until it is there, the words as they are. */
export function AnswerText({ text, isStreaming }: AnswerTextProps) {
  return (
    <Suspense fallback={<div className={styles.plain}>{text}</div>}>
      <Markdown text={text} isStreaming={isStreaming} />
    </Suspense>
  );
}

/** Loads what answers need as soon as there is a message: while the model thinks. */
export function useMarkdownSoon(): void {
  useEffect(() => {
    // Without the network there is no answer either; what fails is asked for again by the answer.
    load().catch(() => undefined);
  }, []);
}
