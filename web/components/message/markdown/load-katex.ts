type Katex = typeof import('./katex')['default'];

let katex: Promise<Katex | undefined> | undefined;

/** The HTML of a formula, made by KaTeX of TeX alone; undefined where it cannot be read, or KaTeX cannot be loaded. */
export async function renderMath(tex: string, isBlock: boolean): Promise<string | undefined> {
  katex ??= import('./katex').then(
    (module) => module.default,
    () => undefined,
  );
  try {
    return (await katex)?.renderToString(tex, {
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
