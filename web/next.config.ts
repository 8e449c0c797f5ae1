import type { NextConfig } from 'next';

/** Static files in `out/`, for Python to serve; otherwise a build for `next start` or Vercel. */
const isStatic = process.env.USECHAT_STATIC === '1';

/** There `vercel.json` routes `/api` to the Python function, and the build must lie where Vercel looks for it. */
const isVercel = process.env.VERCEL === '1';

/** Where Python listens. `next build` writes it into the build, so set it for `build` as well as for `dev`. */
const backend = process.env.USECHAT_BACKEND ?? 'http://127.0.0.1:8000';

const config: NextConfig = {
  // An export always builds in `.next`; the ordinary build goes elsewhere, so that both can lie side by side.
  distDir: isStatic || isVercel ? '.next' : '.next-start',
  reactStrictMode: true,
  poweredByHeader: false,
  // A lock file further up in the file system must not be taken for the root of this package.
  turbopack: {
    root: import.meta.dirname,
    resolveAlias: { '@ai-sdk/gateway': './lib/no-gateway.ts' },
  },
  // `next dev` would write instruction files into the tree, and a build would look for newer releases.
  agentRules: false,
  experimental: { agentUpgrade: false },
};

if (isStatic) {
  config.output = 'export';
  config.trailingSlash = true; // A page is a folder, which any static server finds. In a rewrite it would redirect `/api`.
} else if (!isVercel) {
  config.rewrites = async () => [{ source: '/api/:path*', destination: `${backend}/api/:path*` }];
}

export default config;
