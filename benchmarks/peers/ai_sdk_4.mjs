// AI SDK 4 on node:http: streamText and its data stream.
import http from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { resolve } = createRequire(`${process.env.PEER_MODULES}/`);
const load = (name) => import(pathToFileURL(resolve(name)).href);
const { streamText } = await load('ai');
const { createAnthropic } = await load('@ai-sdk/anthropic');
const anthropic = createAnthropic({ baseURL: `${process.env.ANTHROPIC_BASE_URL}/v1` });

http.createServer(async (request, response) => {
  const body = await new Response(request).json();
  const result = streamText({
    model: anthropic('claude-sonnet-4-6'),
    messages: body.messages,
    maxTokens: 4096,
    maxRetries: 0,
  });
  result.pipeDataStreamToResponse(response);
}).listen(Number(process.env.PORT), '127.0.0.1');
