import type { Metadata, Viewport } from 'next';
import type { ReactNode } from 'react';
import { SiteHeader } from '@/components/site-header';
import { ServerNotice } from '@/components/server-notice';
import { ServerProvider } from '@/hooks/use-server';
import './globals.css';

export const metadata: Metadata = {
  title: { default: 'usechat', template: '%s · usechat' },
  description: 'A chat page on stock useChat, answered by a Python backend.',
};

export const viewport: Viewport = {
  colorScheme: 'light dark',
  themeColor: [
    { media: '(prefers-color-scheme: light)', color: '#faf9f6' },
    { media: '(prefers-color-scheme: dark)', color: '#181816' },
  ],
};

export default function RootLayout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <ServerProvider>
          <SiteHeader />
          <ServerNotice />
          <main className="page">{children}</main>
        </ServerProvider>
      </body>
    </html>
  );
}
