"""Model messages as dicts: the AI SDK's ``ModelMessage`` in JSON, and Anthropic's own form."""
