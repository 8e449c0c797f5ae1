import { useChat } from '@ai-sdk/react';
import { APICallError } from 'ai';
import { useMemo, useRef, useState } from 'react';
import { endingOf } from '@/lib/ending';
import { errorText } from '@/lib/error-text';
import { shouldSendAutomatically } from '@/lib/send-automatically';
import { createTransport } from '@/lib/transport';
import type { ChatMessage } from '@/lib/types';
import { useServer } from './use-server';

/** Renders at most 25 times a second, however fast the deltas come. */
const RENDER_INTERVAL_MS = 40;

/** What the visitor can do about a tool call. */
export type ToolActions = {
  approve: (approvalId: string, isApproved: boolean) => void;
  answer: (toolName: string, toolCallId: string, output: string) => void;
};

/**
 * Stock `useChat`, with this page's options.
 *
 * Adds `endings`, by message id: why an answer ended early, where it did; and `toolActions`.
 */
export function useConversation(chosenModel: string | undefined) {
  const { askForKey } = useServer();
  const transport = useMemo(() => createTransport(chosenModel), [chosenModel]);
  const [endings, setEndings] = useState<Record<string, string>>({});
  const answeredHere = useRef(new Set<string>());

  const chat = useChat<ChatMessage>({
    transport,
    throttle: RENDER_INTERVAL_MS,
    sendAutomaticallyWhen: ({ messages }) => shouldSendAutomatically(messages, answeredHere.current),
    onError: (error) => {
      if (APICallError.isInstance(error) && error.statusCode === 401) askForKey(errorText(error));
    },
    onFinish: ({ message, isAbort, finishReason }) => {
      const ending = endingOf(isAbort, finishReason);
      if (ending) setEndings((known) => ({ ...known, [message.id]: ending }));
    },
  });

  const { addToolApprovalResponse, addToolOutput } = chat;
  const toolActions = useMemo<ToolActions>(
    () => ({
      approve: (id, approved) => void addToolApprovalResponse({ id, approved }),
      answer: (tool, toolCallId, output) => {
        answeredHere.current.add(toolCallId);
        void addToolOutput({ tool, toolCallId, output });
      },
    }),
    [addToolApprovalResponse, addToolOutput],
  );

  return { ...chat, endings, toolActions };
}
