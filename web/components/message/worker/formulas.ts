import katex from 'katex';

/** The HTML of a formula, which KaTeX makes of TeX alone; undefined where it cannot be read. */
export function htmlOf(tex: string, isBlock: boolean): string | undefined {
  try {
    return katex.renderToString(tex, {
      displayMode: isBlock,
      // Whoever writes the formula is not trusted: no links, no images, no classes; and it ends.
      trust: false,
      strict: 'ignore',
      maxExpand: 200,
      maxSize: 20,
    });
  } catch {
    return undefined;
  }
}
