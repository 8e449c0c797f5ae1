"""The run log in memory, for a single worker, and its runs, which the log on Redis has too."""
