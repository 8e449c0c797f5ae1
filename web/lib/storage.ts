/** What this browser remembers. One that forbids it forgets. */
const PREFIX = 'usechat:';

export function remember(name: string, value: string | null): void {
  try {
    if (value === null) window.localStorage.removeItem(PREFIX + name);
    else window.localStorage.setItem(PREFIX + name, value);
  } catch {
    // Storage is forbidden or full.
  }
}

/** Forgets all whose names begin with this. */
export function forgetAll(begin: string): void {
  try {
    const names = Object.keys(window.localStorage).filter((name) => name.startsWith(PREFIX + begin));
    for (const name of names) window.localStorage.removeItem(name);
  } catch {
    // Then nothing was kept.
  }
}

export function recall(name: string): string | null {
  if (typeof window === 'undefined') return null; // The page is also rendered while it is built.
  try {
    return window.localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}
