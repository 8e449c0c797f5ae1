import type { Metadata } from 'next';
import type { ReactNode } from 'react';
import { ServerNotice } from '@/components/server-notice';
import { SiteHeader } from '@/components/site-header';

export const metadata: Metadata = { title: 'Plain fetch' };

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <>
      <SiteHeader />
      <ServerNotice />
      <main className="page">{children}</main>
    </>
  );
}
