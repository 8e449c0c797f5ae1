"""Which processes share a database, and which of them are alive."""
