const LONGEST = 80;

/** A tool's input in a few words: the plain values, in their order. */
export function previewOf(input: unknown): string {
  const values = typeof input === 'object' && input !== null ? Object.values(input) : [input];
  const words = values.filter((value) => typeof value === 'string' || typeof value === 'number');
  return words.join(', ').slice(0, LONGEST);
}
