"""Tool calls: read, decided on, run, and their results."""
