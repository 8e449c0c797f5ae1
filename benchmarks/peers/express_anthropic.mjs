// Express and Anthropic's own package, server-sent events written by hand.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { resolve } = createRequire(`${process.env.PEER_MODULES}/`);
const load = async (name) => (await import(pathToFileURL(resolve(name)).href)).default;
const express = await load('express');
const Anthropic = await load('@anthropic-ai/sdk');
const client = new Anthropic({ maxRetries: 0 });
const app = express();

app.use(express.json());
app.post('/api/chat', async (request, response) => {
  response.setHeader('Content-Type', 'text/event-stream');
  response.setHeader('Cache-Control', 'no-cache');
  const messages = request.body.messages.map(({ role, parts }) => ({
    role,
    content: parts.map((part) => part.text).join(''),
  }));
  const stream = client.messages.stream({ model: 'claude-sonnet-4-6', max_tokens: 4096, messages });
  for await (const event of stream) {
    if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') {
      response.write(`data: ${JSON.stringify({ type: 'text', text: event.delta.text })}\n\n`);
    }
  }
  response.write(`data: ${JSON.stringify({ type: 'finish' })}\n\n`);
  response.end();
});
app.listen(Number(process.env.PORT), '127.0.0.1');
