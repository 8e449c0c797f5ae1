import type { ChatMessage } from './types';

/** The words that somebody wrote, without files. */
export function writtenText(message: ChatMessage): string {
  return message.parts.flatMap((part) => (part.type === 'text' ? [part.text] : [])).join('\n\n');
}

/** Whether something of an answer can be seen. */
export function hasContent(message: ChatMessage | undefined): boolean {
  if (message?.role !== 'assistant') return false;
  return message.parts.some((part) => {
    if (part.type === 'step-start' || part.type === 'custom') return false;
    return part.type !== 'text' || part.text !== '';
  });
}
