// The routes of an AI SDK 5 or 6 backend, which are written the same way: UI message stream protocol v1.
import { noteError as onError } from '../lib/serve.mjs';
import { SYSTEM, THINKING, objectRoute, recipe, streamOptions } from './common.mjs';
import { makeTools } from './tools.mjs';

export function makeRoutes(baseURL, ai, createAnthropic, major) {
  const anthropic = createAnthropic({ baseURL, apiKey: 'test' });
  const generateMessageId = ai.createIdGenerator({ prefix: 'msg', size: 16 });
  const asksFor = (name) => (major === 6 && name === 'delete_file' ? { needsApproval: true } : {});
  const make = ({ schema, ...rest }, name) => ai.tool({ ...rest, inputSchema: schema, ...asksFor(name) });
  const plain = (body, input) => ai.streamText({ model: anthropic(body.model), ...input, maxRetries: 0, onError });

  return {
    async chat(request) {
      const body = await request.json();
      const result = ai.streamText({
        model: anthropic(body.model),
        system: SYSTEM,
        messages: await ai.convertToModelMessages(body.messages),
        tools: makeTools(make, anthropic, body),
        stopWhen: ai.stepCountIs(body.maxSteps ?? 5),
        maxRetries: 0,
        abortSignal: request.signal,
        providerOptions: body.thinking ? THINKING : undefined,
        onError,
      });
      const { keepAliveMs } = body;
      return result.toUIMessageStreamResponse({ ...streamOptions(body, generateMessageId), keepAliveMs });
    },
    async text(request) {
      const body = await request.json();
      return plain(body, { messages: await ai.convertToModelMessages(body.messages) }).toTextStreamResponse();
    },
    async completion(request) {
      const body = await request.json();
      return plain(body, { prompt: body.prompt }).toUIMessageStreamResponse();
    },
    async completionText(request) {
      const body = await request.json();
      return plain(body, { prompt: body.prompt }).toTextStreamResponse();
    },
    objectArray: objectRoute(ai.streamObject, anthropic, 'object-array', onError),
    objectEnum: objectRoute(ai.streamObject, anthropic, 'object-enum', onError),
    async object(request) {
      const body = await request.json();
      if (major === 6) {
        const output = ai.Output.object({ schema: recipe });
        return plain(body, { prompt: body.prompt, output }).toTextStreamResponse();
      }
      const settings = { model: anthropic(body.model), prompt: body.prompt, schema: recipe, maxRetries: 0, onError };
      return ai.streamObject(settings).toTextStreamResponse();
    },
  };
}
