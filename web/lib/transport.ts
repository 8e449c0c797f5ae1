import { DefaultChatTransport } from 'ai';
import { serverHeaders } from './headers';
import { inPieces } from './in-pieces';
import { fetchOrThrow } from './refusal';
import type { ChatMessage } from './types';

/**
 * The stock transport with its stock options.
 *
 * @param chosenModel - The model the visitor chose; undefined leaves it to the server.
 */
export function createTransport(chosenModel: string | undefined): DefaultChatTransport<ChatMessage> {
  return new DefaultChatTransport<ChatMessage>({
    api: '/api/chat',
    headers: serverHeaders,
    fetch: inPieces(fetchOrThrow),
    body: chosenModel === undefined ? {} : { model: chosenModel },
  });
}
