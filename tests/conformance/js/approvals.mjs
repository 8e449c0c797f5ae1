// The AI SDK's own approvals: what it signs when it asks, and what it makes of an answer.
import { jsonSchema, simulateReadableStream, streamText, tool } from 'ai-7';

import { answerLines } from './lib/lines.mjs';

const USAGE = { inputTokens: { total: 1 }, outputTokens: { total: 1 } };

/** A model that calls one tool, or says a word when there is nothing to call. */
function makeModel(call) {
  const said = [
    { type: 'text-start', id: '0' },
    { type: 'text-delta', id: '0', delta: 'Done.' },
    { type: 'text-end', id: '0' },
  ];
  const finishReason = { unified: call ? 'tool-calls' : 'stop', raw: undefined };
  const chunks = [
    { type: 'stream-start', warnings: [] },
    ...(call ? [{ type: 'tool-call', ...call }] : said),
    { type: 'finish', usage: USAGE, finishReason },
  ];
  return {
    specificationVersion: 'v4',
    provider: 'scripted',
    modelId: 'scripted',
    supportedUrls: {},
    doStream: async () => ({ stream: simulateReadableStream({ chunks, initialDelayInMs: null, chunkDelayInMs: null }) }),
  };
}

const makeTools = (name, execute) => ({
  [name]: tool({ inputSchema: jsonSchema({ type: 'object' }), needsApproval: true, execute }),
});

/** Ask: the approval id and the signature that the SDK sends for a call. */
async function ask({ secret, toolCallId, toolName, input }) {
  const result = streamText({
    model: makeModel({ toolCallId, toolName, input: JSON.stringify(input) }),
    prompt: 'Do it.',
    tools: makeTools(toolName, () => 'ran'),
    experimental_toolApprovalSecret: secret,
  });
  for await (const part of result.fullStream) {
    if (part.type === 'tool-approval-request') {
      return { approvalId: part.approvalId, signature: part.signature };
    }
  }
  throw new Error('the SDK did not ask');
}

/** Answer: whether the SDK runs the call that was approved, and the error when it does not. */
async function answer({ secret, approvalId, signature, toolCallId, toolName, input }) {
  let error = null;
  let ran = null;
  const execute = (given) => {
    ran = given;
    return 'ran';
  };
  const result = streamText({
    model: makeModel(null),
    messages: [
      { role: 'user', content: 'Do it.' },
      {
        role: 'assistant',
        content: [
          { type: 'tool-call', toolCallId, toolName, input },
          { type: 'tool-approval-request', approvalId, toolCallId, ...(signature == null ? {} : { signature }) },
        ],
      },
      { role: 'tool', content: [{ type: 'tool-approval-response', approvalId, approved: true }] },
    ],
    tools: makeTools(toolName, execute),
    experimental_toolApprovalSecret: secret,
    onError: (event) => {
      error = String(event.error);
    },
  });
  await result.consumeStream({ onError: (cause) => (error ??= String(cause)) });
  return { ran, error };
}

answerLines({
  ask,
  answer,
  // What JavaScript makes of each JSON text.
  stringify: ({ texts }) => texts.map((text) => JSON.stringify(JSON.parse(text))),
});
