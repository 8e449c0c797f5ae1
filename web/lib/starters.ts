/** What the empty page offers to begin with. */
export const STARTERS = [
  'Explain in two sentences how a streamed answer works.',
  'Write a haiku about the sea.',
  'Suggest three names for a grey cat.',
] as const;

/** The demo is a script: these are words that it knows. */
export const DEMO_STARTERS = [
  'Show me everything you can do.',
  'Write an e-mail, but ask me first.',
  'Search the web: what are server-sent events?',
  'Show me a chart of temperatures.',
] as const;
