"""Anthropic's events as parts. No I/O."""
