"""A model call as a Messages API request. No I/O."""
