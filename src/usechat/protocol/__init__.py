"""The AI SDK's stream protocols: pure and synchronous, bytes on one side, parts on the other."""
