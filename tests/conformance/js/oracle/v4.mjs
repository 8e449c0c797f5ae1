// The routes of an AI SDK 4 backend: data stream protocol v1.
import { createAnthropic } from 'anthropic-4';
import { streamObject, streamText, tool } from 'ai-4';
import { noteError as onError } from '../lib/serve.mjs';
import { SYSTEM, THINKING, objectRoute, recipe } from './common.mjs';
import { makeTools } from './tools.mjs';

export function makeRoutes(baseURL) {
  const anthropic = createAnthropic({ baseURL, apiKey: 'test' });
  const make = ({ schema, ...rest }) => tool({ ...rest, parameters: schema });
  const plain = (body, input) => streamText({ model: anthropic(body.model), ...input, maxRetries: 0, onError });

  return {
    async chat(request) {
      const body = await request.json();
      const result = streamText({
        model: anthropic(body.model),
        system: SYSTEM,
        messages: body.messages,
        tools: makeTools(make, anthropic, body),
        toolCallStreaming: body.toolCallStreaming ?? true,
        maxSteps: body.maxSteps ?? 5,
        maxRetries: 0,
        abortSignal: request.signal,
        providerOptions: body.thinking ? THINKING : undefined,
        onError,
      });
      const { sendUsage = true } = body;
      return result.toDataStreamResponse({ sendReasoning: true, sendSources: true, sendUsage });
    },
    async text(request) {
      const body = await request.json();
      return plain(body, { messages: body.messages }).toTextStreamResponse();
    },
    async completion(request) {
      const body = await request.json();
      return plain(body, { prompt: body.prompt }).toDataStreamResponse();
    },
    async completionText(request) {
      const body = await request.json();
      return plain(body, { prompt: body.prompt }).toTextStreamResponse();
    },
    objectArray: objectRoute(streamObject, anthropic, 'object-array', onError),
    objectEnum: objectRoute(streamObject, anthropic, 'object-enum', onError),
    async object(request) {
      const { model, prompt } = await request.json();
      const settings = { model: anthropic(model), prompt, schema: recipe, maxRetries: 0, onError };
      return streamObject(settings).toTextStreamResponse();
    },
  };
}
