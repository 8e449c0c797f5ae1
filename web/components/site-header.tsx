'use client';

import Link from 'next/link';
import { usePathname } from 'next/navigation';
import { ModelName } from './model-name';
import styles from './site-header.module.css';

const PAGES = [
  { href: '/', label: 'Chat', hint: 'AI SDK 7' },
  { href: '/v4', label: 'v4', hint: 'AI SDK 4' },
  { href: '/fetch', label: 'fetch', hint: 'plain fetch' },
] as const;

/** A static server may answer `/v4` as `/v4/` or `/v4.html`. */
function isCurrent(pathname: string, href: string): boolean {
  return pathname.replace(/\.html$/, '').replace(/(.)\/$/, '$1') === href;
}

export function SiteHeader() {
  const pathname = usePathname();
  return (
    <header className={styles.header}>
      <Link className={styles.brand} href="/" prefetch={false}>
        <span className={styles.mark} aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
        usechat
      </Link>
      <nav className={styles.nav} aria-label="Pages">
        {PAGES.map(({ href, label, hint }) => (
          <Link
            key={href}
            href={href}
            // Each page brings its own SDK; nobody needs the other two in advance.
            prefetch={false}
            title={hint}
            aria-current={isCurrent(pathname, href) ? 'page' : undefined}
          >
            {label}
          </Link>
        ))}
      </nav>
      <ModelName />
    </header>
  );
}
