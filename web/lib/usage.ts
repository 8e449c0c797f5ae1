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

/** With a comma before each three digits, as `toLocaleString` writes it, which takes long the first time. */
function number(value: number): string {
  const [whole = '', ...fraction] = String(value).split('.');
  return [whole.replace(/\B(?=(\d{3})+$)/g, ','), ...fraction].join('.');
}

/** An amount of money, with as many places as tell something of a small one. */
function dollars(value: number): string {
  if (value > 0 && value < 0.0001) return '<$0.0001';
  return `$${value.toFixed(value > 0 && value < 0.1 ? 4 : 2)}`;
}

/** What a model costs. */
export function priceInWords({ input, output }: { input: number; output: number }): string {
  return STRINGS.model.price(`$${number(input)}`, `$${number(output)}`);
}
