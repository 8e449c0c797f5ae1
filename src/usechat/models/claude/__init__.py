"""Models on Anthropic's Messages API: Claude, and other servers with the same API."""
