// The routes of an AI SDK 7 backend: UI message stream protocol v1.
import { createAnthropic } from 'anthropic-7';
import * as ai from 'ai-7';
import { noteError as onError } from '../lib/serve.mjs';
import { SYSTEM, THINKING, objectRoute, recipe, streamOptions } from './common.mjs';
import { makeTools } from './tools.mjs';

/** What the request's body has the user say while the answer is made: before it, or after one of its steps. */
function steer({ steering = [] }) {
  const experimental_steering = ai.experimental_createSteering();
  const send = (step) => {
    for (const { how, text, id, afterStep = -1 } of steering) {
      if (afterStep === step) experimental_steering[how](text, { id });
    }
  };
  send(-1);
  return { experimental_steering, onStepFinish: ({ stepNumber }) => send(stepNumber) };
}

export function makeRoutes(baseURL) {
  const anthropic = createAnthropic({ baseURL, apiKey: 'test' });
  const generateMessageId = ai.createIdGenerator({ prefix: 'msg', size: 16 });
  const make = ({ schema, ...rest }) => ai.tool({ ...rest, inputSchema: schema });
  const plain = (body, input) => ai.streamText({ model: anthropic(body.model), ...input, maxRetries: 0, onError });
  const asText = ({ stream }) => ai.createTextStreamResponse({ stream: ai.toTextStream({ stream }) });

  return {
    async chat(request) {
      const body = await request.json();
      const tools = makeTools(make, anthropic, body);
      const result = ai.streamText({
        model: anthropic(body.model),
        instructions: SYSTEM,
        messages: await ai.convertToModelMessages(body.messages),
        tools,
        stopWhen: ai.isStepCount(body.maxSteps ?? 5),
        maxRetries: 0,
        abortSignal: request.signal,
        providerOptions: body.thinking ? THINKING : undefined,
        toolApproval: { delete_file: 'user-approval' },
        experimental_toolApprovalSecret: body.approvalSecret,
        onError,
        ...steer(body),
      });
      const options = streamOptions(body, generateMessageId);
      const stream = ai.toUIMessageStream({ stream: result.stream, tools, ...options });
      return ai.createUIMessageStreamResponse({ stream, keepAliveMs: body.keepAliveMs });
    },
    async text(request) {
      const body = await request.json();
      return asText(plain(body, { messages: await ai.convertToModelMessages(body.messages) }));
    },
    async completion(request) {
      const body = await request.json();
      const { stream } = plain(body, { prompt: body.prompt });
      return ai.createUIMessageStreamResponse({ stream: ai.toUIMessageStream({ stream }) });
    },
    async completionText(request) {
      const body = await request.json();
      return asText(plain(body, { prompt: body.prompt }));
    },
    objectArray: objectRoute(ai.streamObject, anthropic, 'object-array', onError),
    objectEnum: objectRoute(ai.streamObject, anthropic, 'object-enum', onError),
    async object(request) {
      const body = await request.json();
      return asText(plain(body, { prompt: body.prompt, output: ai.Output.object({ schema: recipe }) }));
    },
  };
}
