// What the backends of all majors have in common.
import { z } from 'zod';

export const SYSTEM = 'You are a helpful assistant.';

export const THINKING = { anthropic: { thinking: { type: 'enabled', budgetTokens: 1024 } } };

/** What `/api/object` makes. */
export const recipe = z.object({ title: z.string(), items: z.array(z.string()) });

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
