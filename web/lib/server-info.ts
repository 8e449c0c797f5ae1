import { authorizationHeaders } from './api-key';
import { sentenceOf } from './error-text';
import type { ServerInfo } from './types';

/** What is known of the server: `unknown` is one that does not tell, which does not keep it from answering. */
export type ServerState =
  | { status: 'loading' }
  | { status: 'ready'; info: ServerInfo }
  | { status: 'unauthorized'; message: string }
  | { status: 'unreachable' }
  | { status: 'unknown' };

export async function fetchServerState(): Promise<ServerState> {
  let response: Response;
  try {
    response = await fetch('/api/info', { headers: authorizationHeaders() });
  } catch {
    return { status: 'unreachable' };
  }
  if (response.status === 401) return { status: 'unauthorized', message: sentenceOf(await response.text()) };
  if (response.status >= 500) return { status: 'unreachable' };
  const body: unknown = await response.json().catch(() => undefined);
  return response.ok && isServerInfo(body) ? { status: 'ready', info: body } : { status: 'unknown' };
}

function isServerInfo(value: unknown): value is ServerInfo {
  const info = value as Partial<ServerInfo> | null | undefined;
  return typeof info?.model?.label === 'string' && Array.isArray(info.models);
}
