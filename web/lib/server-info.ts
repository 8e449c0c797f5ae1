import { authorizationHeaders } from './api-key';
import { sentenceOf } from './error-text';
import type { ServerInfo, SignIn } from './types';

/** The server does not know this visitor. */
export type StrangerState = {
  status: 'unauthorized';
  /** `needed`: nobody has signed in yet. `wrong`: the key is not known. `over`: it was, until now. */
  reason: 'needed' | 'wrong' | 'over';
  /** The words of the server. */
  message: string;
  /** How to sign in, where the server tells. */
  signIn: SignIn | undefined;
};

/** What is known of the server: `unknown` is one that does not tell, which does not keep it from answering. */
export type ServerState =
  | { status: 'loading' }
  | { status: 'ready'; info: ServerInfo }
  | StrangerState
  | { status: 'unreachable' }
  | { status: 'unknown' };

export async function fetchServerState(): Promise<ServerState> {
  let response: Response;
  try {
    response = await fetch('/api/info', { headers: authorizationHeaders() });
  } catch {
    return { status: 'unreachable' };
  }
  if (response.status === 401) return strangerState(await response.text().catch(() => ''));
  if (response.status >= 500) return { status: 'unreachable' };
  const body: unknown = await response.json().catch(() => undefined);
  return response.ok && isServerInfo(body) ? { status: 'ready', info: body } : { status: 'unknown' };
}

function strangerState(body: string): StrangerState {
  return { status: 'unauthorized', reason: 'needed', message: sentenceOf(body), signIn: signInOf(body) };
}

function signInOf(body: string): SignIn | undefined {
  try {
    const { signIn } = JSON.parse(body) as { signIn?: SignIn };
    return Array.isArray(signIn?.ways) ? signIn : undefined;
  } catch {
    return undefined;
  }
}

function isServerInfo(value: unknown): value is ServerInfo {
  const info = value as Partial<ServerInfo> | null | undefined;
  return typeof info?.model?.label === 'string' && Array.isArray(info.models);
}
