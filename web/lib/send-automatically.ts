import {
  isToolUIPart,
  lastAssistantMessageIsCompleteWithApprovalResponses,
  lastAssistantMessageIsCompleteWithToolCalls,
} from 'ai';
import type { ChatMessage } from './types';

/**
 * Whether the answer goes on by itself, now that the visitor has had their say.
 *
 * The SDK's own test for tool calls is also true where the server ran every tool and stopped at its limit of steps;
 * sending then would go on for ever. So it counts only for calls that were answered on this page.
 *
 * @param answeredHere - The tool calls that the visitor answered.
 */
export function shouldSendAutomatically(messages: ChatMessage[], answeredHere: ReadonlySet<string>): boolean {
  if (lastAssistantMessageIsCompleteWithApprovalResponses({ messages })) return true;
  const parts = messages.at(-1)?.parts ?? [];
  const wasAnsweredHere = parts.some((part) => isToolUIPart(part) && answeredHere.has(part.toolCallId));
  return wasAnsweredHere && lastAssistantMessageIsCompleteWithToolCalls({ messages });
}
