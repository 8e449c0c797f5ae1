// The real AI SDK of one major as a backend: `node main.mjs --major 6 --upstream http://127.0.0.1:PORT`.
// Commands: `address` tells where it listens, `takeErrors` what the SDK could not cope with since the last call.
import { answerLines, argument } from '../lib/lines.mjs';
import { serve, takeErrors } from '../lib/serve.mjs';

const major = Number(argument('major'));
const baseURL = `${argument('upstream')}/v1`;
globalThis.AI_SDK_LOG_WARNINGS = false;

async function routesOfMajor() {
  if (major === 4) return (await import('./v4.mjs')).makeRoutes(baseURL);
  if (major === 7) return (await import('./v7.mjs')).makeRoutes(baseURL);
  const [ai, { createAnthropic }] = await Promise.all([import(`ai-${major}`), import(`anthropic-${major}`)]);
  return (await import('./v5_v6.mjs')).makeRoutes(baseURL, ai, createAnthropic, major);
}

const routes = await routesOfMajor();
const url = await serve({
  'POST /api/chat': routes.chat,
  'POST /api/text': routes.text,
  'POST /api/completion': routes.completion,
  'POST /api/completion-text': routes.completionText,
  'POST /api/object': routes.object,
  'POST /api/object-array': routes.objectArray,
  'POST /api/object-enum': routes.objectEnum,
});
answerLines({ address: () => url, takeErrors });
