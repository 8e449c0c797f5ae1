import type { LanguageId } from './languages';
import type { HighlightReply, HighlightRequest, LineTokens } from './use-highlighting';
import { createHighlighterCore, createCssVariablesTheme, type GrammarState, type HighlighterCore } from '@shikijs/core';
import { createJavaScriptRegexEngine } from '@shikijs/engine-javascript';
import { GRAMMARS } from './grammars';

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

type Block = { language: LanguageId; state: GrammarState | undefined };

const blocks = new Map<number, Block>();
const languages = new Map<LanguageId, Promise<unknown>>();
let highlighter: Promise<HighlighterCore> | undefined;
/** Requests are answered in their order, also while a grammar is loading. */
let queue: Promise<void> = Promise.resolve();

self.onmessage = ({ data }: MessageEvent<HighlightRequest>) => {
  queue = queue.then(() => answer(data)).catch(() => undefined);
};

async function answer(request: HighlightRequest): Promise<void> {
  if ('end' in request) {
    blocks.delete(request.block);
    return;
  }
  highlighter ??= createHighlighterCore({ themes: [THEME], langs: [], engine: createJavaScriptRegexEngine({ forgiving: true }) });
  const shiki = await highlighter;
  const { language } = request;
  const loaded = languages.get(language) ?? GRAMMARS[language]().then((grammar) => shiki.loadLanguage(grammar));
  languages.set(language, loaded);
  await loaded;
  const block = blocks.get(request.block) ?? { language, state: undefined };
  blocks.set(request.block, block);
  const { tokens, grammarState } = shiki.codeToTokens(request.lines.join('\n'), {
    lang: language,
    theme: 'page',
    grammarState: block.state,
    tokenizeMaxLineLength: LONGEST_LINE,
  });
  block.state = grammarState;
  const reply: HighlightReply = { block: request.block, tokens: tokens.map(lineOf) };
  self.postMessage(reply);
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
