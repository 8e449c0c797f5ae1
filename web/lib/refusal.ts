import { sentenceOf } from './error-text';

/** The server refused a request: with which status, in which words, and when to come back. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** In milliseconds since 1970; undefined where the server did not say. */
    readonly retryAt: number | undefined,
    /** On the clock of `performance.now`. */
    readonly askedAt: number,
  ) {
    super(message);
    this.name = 'Refusal';
  }
}

/** `fetch`, but a refusal is thrown. The SDK's own error does not tell when to come back. */
export async function fetchOrThrow(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const askedAt = performance.now();
  const response = await fetch(input, init);
  if (response.ok) return response;
  const words = sentenceOf(await response.text().catch(() => ''));
  throw new Refusal(response.status, words, retryTime(response.headers.get('retry-after')), askedAt);
}

/** `Retry-After` has seconds or a date. */
function retryTime(header: string | null): number | undefined {
  if (header === null) return undefined;
  const time = /^\d+$/.test(header) ? Date.now() + Number(header) * 1000 : Date.parse(header);
  return Number.isNaN(time) ? undefined : time;
}
