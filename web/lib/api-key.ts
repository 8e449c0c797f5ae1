const STORAGE_KEY = 'usechat-api-key';

/** Keeps the key until the tab is closed. A browser that forbids storage asks for it again. */
export function saveApiKey(key: string): void {
  try {
    window.sessionStorage.setItem(STORAGE_KEY, key);
  } catch {
    // Storage is forbidden in this browser; the next request is refused and the page asks again.
  }
}

export function forgetApiKey(): void {
  try {
    window.sessionStorage.removeItem(STORAGE_KEY);
  } catch {
    // Then nothing was kept.
  }
}

export function hasApiKey(): boolean {
  return Boolean(readApiKey());
}

function readApiKey(): string | null {
  if (typeof window === 'undefined') return null; // The page is also rendered while it is built.
  try {
    return window.sessionStorage.getItem(STORAGE_KEY);
  } catch {
    return null;
  }
}

/** The header that carries the visitor's key; nothing where none was entered. */
export function authorizationHeaders(): Record<string, string> {
  const key = readApiKey();
  return key ? bearer(key) : {};
}

export function bearer(key: string): Record<string, string> {
  return { Authorization: `Bearer ${key}` };
}
