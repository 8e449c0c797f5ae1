import { keyOf, sourcesIn, sourcesOf, type Source } from './sources';
import type { ChatMessage, ChatPart } from './types';

/** What stands below each other in an answer. */
export type Piece =
  | { kind: 'text'; key: number; text: string }
  | { kind: 'part'; key: number; part: ChatPart };

/** A fence or the row of a table, in whose line no mark can stand. */
const OWN_LINE = /(?:^|\n)[ \t]*(?:```|~~~|\$\$|\|)[^\n]*$/;

/**
 * The pieces of an answer.
 *
 * A provider begins a new text where a citation begins or ends. Such texts are one again here, with a mark (`⁅2⁆`) where
 * each source is cited, which stands for its place in `sources`.
 *
 * @param sources - As `sourcesOf` gives them.
 */
export function piecesOf(parts: ChatMessage['parts'], sources: readonly Source[]): Piece[] {
  const numbers = new Map(sources.map((source, index) => [keyOf(source), index + 1]));
  const hasCitations = parts.some((part) => part.type === 'text' && (part.citations?.length ?? 0) > 0);
  const pieces: Piece[] = [];
  let cited: Source[] = [];
  let text: Extract<Piece, { kind: 'text' }> | undefined;
  let isSourceBetween = false;
  for (const [key, part] of parts.entries()) {
    if (part.type === 'source-url' || part.type === 'source-document') {
      isSourceBetween = true;
      // Where no text tells what it cites, a source between two texts belongs to the first one.
      if (!hasCitations && text) cited.push(...sourcesIn(part));
    } else if (part.type === 'text') {
      const citations = sourcesIn(part);
      const own = marked(part.text, citations, numbers);
      if (text && (isSourceBetween || citations.length > 0 || cited.length > 0)) {
        text.text = marked(text.text, hasCitations ? [] : cited, numbers) + own;
      } else {
        text = { kind: 'text', key, text: own };
        pieces.push(text);
      }
      cited = hasCitations ? citations : [];
      isSourceBetween = false;
    } else {
      pieces.push({ kind: 'part', key, part });
      text = undefined;
      cited = [];
      isSourceBetween = false;
    }
  }
  return pieces.filter((piece) => piece.kind === 'part' || piece.text !== '');
}

function marked(text: string, sources: readonly Source[], numbers: ReadonlyMap<string, number>): string {
  const marks = [...new Set(sources.map((source) => numbers.get(keyOf(source))))];
  if (marks.length === 0) return text;
  const words = text.trimEnd();
  const place = OWN_LINE.test(words) ? '\n\n' : '';
  return words + place + marks.map((number) => `⁅${number}⁆`).join('') + text.slice(words.length);
}

/** The words of an answer as Markdown, for the clipboard: what cites and what is cited is one paragraph. */
export function textOfAnswer(message: Pick<ChatMessage, 'parts'>): string {
  return piecesOf(message.parts, sourcesOf(message))
    .flatMap((piece) => (piece.kind === 'text' ? [piece.text.replace(/⁅\d+⁆/g, '')] : []))
    .join('\n\n');
}
