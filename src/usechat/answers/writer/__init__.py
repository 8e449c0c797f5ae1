"""The writer: answers whose parts the application writes itself."""
