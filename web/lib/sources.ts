import type { TextUIPart } from 'ai';
import { hostOf, safeLink } from './safe-url';
import type { ChatMessage, ChatPart } from './types';

/** One thing that an answer rests on. */
export type Source = { id: string; title: string; href?: string; detail?: string; quotes: string[] };

type Citation = NonNullable<TextUIPart['citations']>[number];

/** All sources of an answer in their order, each once: those it retrieved and those its text cites. */
export function sourcesOf(message: Pick<ChatMessage, 'parts'>): Source[] {
  const byKey = new Map<string, Source>();
  for (const source of message.parts.flatMap(sourcesIn)) {
    const known = byKey.get(keyOf(source));
    if (known === undefined) byKey.set(keyOf(source), source);
    else known.quotes.push(...source.quotes.filter((quote) => !known.quotes.includes(quote)));
  }
  return [...byKey.values()];
}

/** What two mentions of the same source have in common. */
export function keyOf(source: Source): string {
  return source.href ?? source.title;
}

export function sourcesIn(part: ChatPart): Source[] {
  switch (part.type) {
    case 'source-url':
      return [linkSource(part.sourceId, part.url, part.title)];
    case 'source-document':
      return [documentSource(part.sourceId, part.title, part.filename)];
    case 'text':
      return part.citations?.map(citedSource) ?? [];
    default:
      return [];
  }
}

function citedSource({ source, citedText }: Citation): Source {
  const cited =
    source.sourceType === 'url'
      ? linkSource(source.id, source.url, source.title)
      : documentSource(source.id, source.title, source.filename);
  return { ...cited, quotes: citedText ? [citedText] : [] };
}

function linkSource(id: string, url: string, title: string | undefined): Source {
  const host = hostOf(url);
  return { id, title: title || host, href: safeLink(url), detail: title ? host : undefined, quotes: [] };
}

function documentSource(id: string, title: string, filename: string | undefined): Source {
  return { id, title: title || filename || 'Document', detail: title ? filename : undefined, quotes: [] };
}
