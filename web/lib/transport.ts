import { DefaultChatTransport } from 'ai';
import { version } from 'ai/package.json';
import { authorizationHeaders } from './api-key';
import type { ChatMessage } from './types';

/**
 * The stock transport with its stock options.
 *
 * @param chosenModel - The model the visitor chose; undefined leaves it to the server.
 */
export function createTransport(chosenModel: string | undefined): DefaultChatTransport<ChatMessage> {
  return new DefaultChatTransport<ChatMessage>({
    api: '/api/chat',
    // A server that is told the release answers with all that this `ai` understands (approvals, citations);
    // left to guess, it keeps to what every release since 5.0.0 accepts.
    headers: () => ({ 'x-usechat-sdk': version, ...authorizationHeaders() }),
    body: chosenModel === undefined ? {} : { model: chosenModel },
  });
}
