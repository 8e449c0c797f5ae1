import { STRINGS } from './strings';
import type { ChatMetadata } from './types';

/** What an answer took, as far as the server tells it. */
export function usageInWords(metadata: ChatMetadata | undefined): string {
  const usage = metadata?.usage;
  const words: string[] = [];
  if (usage?.inputTokens !== undefined && usage.outputTokens !== undefined) {
    words.push(STRINGS.usage.tokens(number(usage.inputTokens), number(usage.outputTokens)));
  } else if (usage?.totalTokens !== undefined) {
    words.push(STRINGS.usage.total(number(usage.totalTokens)));
  }
  if (metadata?.cost !== undefined) words.push(STRINGS.usage.cost(dollars(metadata.cost)));
  return words.join(' · ');
}

function number(value: number): string {
  return value.toLocaleString('en');
}

function dollars(value: number): string {
  return `$${value.toFixed(value < 0.1 ? 4 : 2)}`;
}
