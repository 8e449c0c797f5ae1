/** The languages whose grammars this page brings, by the names that fences call them. */
const LANGUAGES = {
  bash: { label: 'Shell', aliases: ['sh', 'shell', 'zsh', 'console', 'shellsession'] },
  c: { label: 'C', aliases: ['h'] },
  cpp: { label: 'C++', aliases: ['c++', 'cc', 'hpp'] },
  csharp: { label: 'C#', aliases: ['cs', 'c#'] },
  css: { label: 'CSS', aliases: [] },
  diff: { label: 'Diff', aliases: ['patch'] },
  docker: { label: 'Dockerfile', aliases: ['dockerfile'] },
  go: { label: 'Go', aliases: ['golang'] },
  graphql: { label: 'GraphQL', aliases: ['gql'] },
  html: { label: 'HTML', aliases: ['htm'] },
  ini: { label: 'INI', aliases: ['properties', 'conf'] },
  java: { label: 'Java', aliases: [] },
  javascript: { label: 'JavaScript', aliases: ['js', 'mjs', 'cjs'] },
  json: { label: 'JSON', aliases: ['jsonc', 'json5'] },
  jsx: { label: 'JSX', aliases: [] },
  kotlin: { label: 'Kotlin', aliases: ['kt', 'kts'] },
  lua: { label: 'Lua', aliases: [] },
  make: { label: 'Makefile', aliases: ['makefile'] },
  markdown: { label: 'Markdown', aliases: ['md'] },
  php: { label: 'PHP', aliases: [] },
  powershell: { label: 'PowerShell', aliases: ['ps1', 'pwsh'] },
  python: { label: 'Python', aliases: ['py', 'python3'] },
  r: { label: 'R', aliases: [] },
  ruby: { label: 'Ruby', aliases: ['rb'] },
  rust: { label: 'Rust', aliases: ['rs'] },
  sql: { label: 'SQL', aliases: ['postgresql', 'mysql', 'sqlite'] },
  svelte: { label: 'Svelte', aliases: [] },
  swift: { label: 'Swift', aliases: [] },
  toml: { label: 'TOML', aliases: [] },
  tsx: { label: 'TSX', aliases: [] },
  typescript: { label: 'TypeScript', aliases: ['ts', 'mts'] },
  vue: { label: 'Vue', aliases: [] },
  xml: { label: 'XML', aliases: ['svg'] },
  yaml: { label: 'YAML', aliases: ['yml'] },
} as const satisfies Record<string, { label: string; aliases: readonly string[] }>;

export type LanguageId = keyof typeof LANGUAGES;

const BY_NAME = new Map<string, LanguageId>();
for (const [id, { aliases }] of Object.entries(LANGUAGES)) {
  for (const name of [id, ...aliases]) BY_NAME.set(name, id as LanguageId);
}

export function languageOf(name: string): { id: LanguageId; label: string } | undefined {
  const id = BY_NAME.get(name.toLowerCase());
  return id && { id, label: LANGUAGES[id].label };
}
