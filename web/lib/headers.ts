import { version } from 'ai/package.json';
import { authorizationHeaders } from './api-key';

/**
 * What every request of the page carries.
 *
 * A server that is told the release answers with all that this `ai` understands (approvals, citations); left to guess,
 * it keeps to what every release since 5.0.0 accepts.
 */
export function serverHeaders(): Record<string, string> {
  return { 'x-usechat-sdk': version, ...authorizationHeaders() };
}
