"""Objects: JSON that fits a schema, streamed and whole."""
