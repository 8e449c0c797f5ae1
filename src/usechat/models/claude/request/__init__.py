"""Build a Messages API request from a model call. No I/O."""
