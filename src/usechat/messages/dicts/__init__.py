"""Model messages as dicts: the AI SDK's ModelMessage JSON and Anthropic's own form."""
