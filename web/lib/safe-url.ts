/** The address, if a visitor may follow it; a model or a tool may have written anything there. */
export function safeLink(url: string): string | undefined {
  return /^https?:\/\//i.test(url) ? url : undefined;
}

/** The address, if an `<img>` or a download may load it. */
export function safeFile(url: string): string | undefined {
  return /^(https?:\/\/|blob:|data:)/i.test(url) ? url : undefined;
}

/** The host of a link, for showing where it leads. */
export function hostOf(url: string): string {
  try {
    return new URL(url).hostname.replace(/^www\./, '');
  } catch {
    return url;
  }
}
