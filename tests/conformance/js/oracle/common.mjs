// What the backends of all majors have in common.
import { z } from 'zod';

export const SYSTEM = 'You are a helpful assistant.';

export const THINKING = { anthropic: { thinking: { type: 'enabled', budgetTokens: 1024 } } };

/** What `/api/object` makes. */
export const recipe = z.object({ title: z.string(), items: z.array(z.string()) });

/** What `/api/object-enum` chooses from. */
export const moods = ['glad', 'sad', 'saddest'];

/** What the routes of objects make, by the route: for a client's hook, and for `streamObject`. */
export const objects = {
  object: { schema: recipe, made: { schema: recipe } },
  'object-array': { schema: z.array(recipe), made: { output: 'array', schema: recipe } },
  'object-enum': { schema: z.object({ result: z.enum(moods) }), made: { output: 'enum', enum: moods } },
};

/** A route on which `streamObject`, which all majors have, makes an array or an enum. */
export const objectRoute = (streamObject, anthropic, name, onError) => async (request) => {
  const { model, prompt } = await request.json();
  const settings = { model: anthropic(model), prompt, maxRetries: 0, onError };
  return streamObject({ ...settings, ...objects[name].made }).toTextStreamResponse();
};

/** What a route of AI SDK 5 to 7 gives to `toUIMessageStream` for what the request asks. */
export function streamOptions({ messages, model, persist, usageMetadata }, generateMessageId) {
  const messageMetadata = ({ part }) => {
    if (part.type === 'start') return { model };
    return part.type === 'finish' ? { usage: part.totalUsage } : undefined;
  };
  return {
    sendReasoning: true,
    sendSources: true,
    ...(persist ? { originalMessages: messages, generateMessageId } : {}),
    ...(usageMetadata ? { messageMetadata } : {}),
  };
}
