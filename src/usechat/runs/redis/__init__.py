"""The run log on Redis."""
