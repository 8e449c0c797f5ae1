import { createCssVariablesTheme, createHighlighterCore, type GrammarState, type HighlighterCore } from '@shikijs/core';
import { createJavaScriptRegexEngine } from '@shikijs/engine-javascript';
import type { LanguageId } from '../code/languages';
import { GRAMMARS } from './grammars';
import type { LineTokens } from './protocol';

/** The numbers of the colours are those of the style sheet. */
const COLOURS = [
  'constant',
  'string',
  'comment',
  'keyword',
  'parameter',
  'function',
  'string-expression',
  'punctuation',
  'link',
  'inserted',
  'deleted',
  'changed',
];
const THEME = createCssVariablesTheme({ name: 'page', variablePrefix: '--', fontStyle: false });

/** A longer line is not read by people, and takes long. */
const LONGEST_LINE = 2_000;

const states = new Map<number, GrammarState | undefined>();
const languages = new Map<LanguageId, Promise<unknown>>();
let highlighter: Promise<HighlighterCore> | undefined;

/** The tokens of the next lines of a block of code. */
export async function tokensOf(block: number, language: LanguageId, lines: readonly string[]): Promise<LineTokens[]> {
  highlighter ??= createHighlighterCore({
    themes: [THEME],
    langs: [],
    engine: createJavaScriptRegexEngine({ forgiving: true }),
  });
  const shiki = await highlighter;
  const loaded = languages.get(language) ?? GRAMMARS[language]().then((grammar) => shiki.loadLanguage(grammar));
  languages.set(language, loaded);
  await loaded;
  const { tokens, grammarState } = shiki.codeToTokens(lines.join('\n'), {
    lang: language,
    theme: 'page',
    grammarState: states.get(block),
    tokenizeMaxLineLength: LONGEST_LINE,
  });
  states.set(block, grammarState);
  return tokens.map(lineOf);
}

export function endBlock(block: number): void {
  states.delete(block);
}

function lineOf(tokens: { content: string; color?: string }[]): LineTokens {
  const line: number[] = [];
  for (const { content, color } of tokens) {
    const colour = COLOURS.findIndex((name) => color === `var(--token-${name})`) + 1;
    if (line.length > 0 && line.at(-1) === colour) line[line.length - 2] = (line.at(-2) ?? 0) + content.length;
    else line.push(content.length, colour);
  }
  return line;
}
