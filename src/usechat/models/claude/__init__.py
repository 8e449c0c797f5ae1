"""Claude and everything else that speaks Anthropic's Messages API."""
