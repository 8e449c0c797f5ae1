// The tools that each side of a comparison has; `tests/conformance/app.py` has the same.
import { z } from 'zod';

const city = z.string().describe('The city name.');
const unit = z.enum(['celsius', 'fahrenheit']).optional();

const DEFINITIONS = {
  get_weather: {
    description: 'Get the current weather in a city.',
    schema: z.object({ city, unit }),
    async execute({ city, unit = 'celsius' }) {
      if (city === 'ERROR') throw new Error('weather service is down');
      return { city, temperature: 18, unit, condition: 'sunny' };
    },
  },
  get_time: {
    description: 'Get the current time.',
    schema: z.object({}),
    execute: async () => ({ time: '12:00' }),
  },
  ask_user: {
    description: 'Ask the user a question.',
    schema: z.object({ question: z.string(), options: z.array(z.any()).optional() }),
  },
  delete_file: {
    description: 'Delete a file. Needs approval.',
    schema: z.object({ path: z.string() }),
    execute: async ({ path }) => ({ deleted: path }),
  },
};

const generic = (name) => ({
  description: 'Generic test tool.',
  schema: z.object({}).passthrough(),
  execute: async () => ({ ok: true, tool: name }),
});

// A provider's tool by the name that the API has for it, and which of the package's constructors makes it.
const SERVER_TOOLS = {
  web_search: (tools) => tools.webSearch_20250305?.(),
  web_fetch: (tools) => tools.webFetch_20250910?.(),
  code_execution: (tools) => tools.codeExecution_20250825?.(),
  tool_search_tool_bm25: (tools) => tools.toolSearchBm25_20251119?.(),
  tool_search_tool_regex: (tools) => tools.toolSearchRegex_20251119?.(),
  advisor: (tools) => tools.advisor_20260301?.({ model: 'claude-opus-4-6' }),
};

/**
 * The tools of one request.
 *
 * @param make turns `{description, schema, execute}` into a tool of this major
 * @param options `extraTools` and `serverTools` as the request names them
 */
export function makeTools(make, anthropic, { extraTools = [], serverTools = [] }) {
  const definitions = { ...DEFINITIONS, ...Object.fromEntries(extraTools.map((name) => [name, generic(name)])) };
  const tools = Object.fromEntries(Object.entries(definitions).map(([name, one]) => [name, make(one, name)]));
  for (const name of serverTools) {
    const made = SERVER_TOOLS[name](anthropic.tools ?? {});
    if (made) tools[name] = made; // an older provider package may not have it yet
  }
  return tools;
}
