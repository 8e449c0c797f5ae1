import { authorizationHeaders, bearer, forgetApiKey, saveApiKey } from './api-key';
import { safeLink } from './safe-url';
import { fetchServerState, type ServerState } from './server-info';
import type { SignIn } from './types';

/** Whether a visitor can come in by a key, or by a token that they are given as one. */
export function takesKeys(signIn: SignIn | undefined): boolean {
  return signIn === undefined || signIn.ways.includes('key') || (signIn.ways.includes('token') && !signIn.url);
}

/** The page to sign in on, if there is one. */
export function signInPage(signIn: SignIn | undefined): string | undefined {
  const url = signIn?.url;
  if (!url) return undefined;
  return url.startsWith('/') ? url : safeLink(url);
}

/**
 * Comes in with a key. Where the server makes a session of it, the key is forgotten; otherwise this tab keeps it.
 *
 * @returns what the server says after that.
 */
export async function enter(key: string, signIn: SignIn | undefined): Promise<ServerState> {
  forgetApiKey();
  if (signIn?.session && (await beginSession(key))) {
    const state = await fetchServerState();
    if (state.status !== 'unauthorized') return state;
  }
  // The server makes no session of this, or the browser takes no cookies.
  saveApiKey(key);
  const state = await fetchServerState();
  if (state.status === 'unauthorized') forgetApiKey();
  return state;
}

async function beginSession(key: string): Promise<boolean> {
  const response = await fetch('/api/session', { method: 'POST', headers: bearer(key) }).catch(() => undefined);
  return response?.ok ?? false;
}

/** Forgets the key and ends the session. */
export async function leave(): Promise<void> {
  const headers = authorizationHeaders();
  forgetApiKey();
  // A server that cannot be reached shows after the reload that the session goes on.
  await fetch('/api/session', { method: 'DELETE', headers }).catch(() => undefined);
}
