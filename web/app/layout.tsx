import type { Metadata, Viewport } from 'next';
import type { ReactNode } from 'react';
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

/**
 * Before the first paint: the colours that were chosen, and whether the greeting, which stands in the file, gives way to
 * a saved chat. The server's policy allows the script by its digest.
 */
const FIRST_SCRIPT = `(function(){var d=document.documentElement.dataset;try{var t=localStorage.getItem('usechat:theme');\
if(t==='dark'||t==='light')d.theme=t;if(localStorage.getItem('usechat:sidebar')==='closed')d.sidebar='closed'}catch(e){}\
if(/[?&]chat=./.test(location.search))d.opening='true'})()`;

export default function RootLayout({ children }: { children: ReactNode }) {
  return (
    <html lang="en" suppressHydrationWarning>
      <head>
        <script dangerouslySetInnerHTML={{ __html: FIRST_SCRIPT }} />
      </head>
      <body>
        <ServerProvider>{children}</ServerProvider>
      </body>
    </html>
  );
}
