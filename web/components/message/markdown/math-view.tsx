'use client';

import { memo, useEffect, useState } from 'react';
import { ask, forget, listen } from '../worker/client';
import styles from './markdown.module.css';

/** What is longer is no formula that somebody reads. */
const LONGEST = 4_000;
/** Those that most formulas need. */
const FONTS = ['KaTeX_Main', 'KaTeX_Math', 'KaTeX_Size1'];

let styling: Promise<unknown> | undefined;

/** KaTeX's style sheet and its fonts, from this server, come with the first formula, which is not drawn in another font first. */
function loadStyles(): Promise<unknown> {
  const fonts = () => Promise.all(FONTS.map((font) => document.fonts.load(`1em ${font}`)));
  styling ??= import('katex/dist/katex.min.css').then(fonts).catch(() => undefined);
  return styling;
}

/** A formula: its source until KaTeX is there, which comes with the first one; and for good where it cannot be read. */
export const MathView = memo(function MathView({ tex, isBlock }: { tex: string; isBlock: boolean }) {
  const [drawn, setDrawn] = useState<{ tex: string; html: string }>();
  useEffect(() => {
    if (tex.trim() === '' || tex.length > LONGEST) return;
    const ready = loadStyles();
    let isWanted = true;
    const id = listen((reply) => {
      if (reply.kind !== 'formula' || reply.html === undefined) return;
      const { html } = reply;
      void ready.then(() => isWanted && setDrawn({ tex, html }));
    });
    ask({ kind: 'formula', id, tex, isBlock });
    return () => {
      isWanted = false;
      forget(id);
    };
  }, [tex, isBlock]);

  const Tag = isBlock ? 'div' : 'span';
  const place = isBlock ? { className: styles.formula, tabIndex: 0, role: 'group', 'aria-label': tex } : {};
  // A formula that grows keeps its last drawing until the next one is ready, so that it does not flicker.
  if (drawn && (drawn.tex === tex || tex.startsWith(drawn.tex))) {
    return <Tag {...place} data-math dangerouslySetInnerHTML={{ __html: drawn.html }} />;
  }
  return (
    <Tag {...place} data-math>
      <code className={styles.tex}>{tex}</code>
    </Tag>
  );
});
