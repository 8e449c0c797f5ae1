/** What to show of an error: the server's own sentence where it sent one. */
export function errorText(error: Error): string {
  if (error instanceof TypeError) return 'The connection to the server was lost, or never came about.';
  return sentenceOf(error.message);
}

/** The sentence inside the body of an HTTP error, which may be JSON, plain text or a proxy's HTML page. */
export function sentenceOf(body: string): string {
  const text = body.trim();
  if (text === '') return 'The server answered with an error.';
  if (text.startsWith('<')) return 'The server, or a proxy before it, answered with an error page.';
  if (!text.startsWith('{')) return text;
  try {
    return sentenceIn(JSON.parse(text)) ?? text;
  } catch {
    return text;
  }
}

/** Looks where servers put it: `{error: "…"}`, `{error: {message: "…"}}`, `{message: "…"}`, `{detail: "…"}`. */
function sentenceIn(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return undefined;
  const { error, message, detail } = value as Record<string, unknown>;
  return sentenceIn(error) ?? sentenceIn(message) ?? sentenceIn(detail);
}
