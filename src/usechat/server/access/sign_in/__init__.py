"""Signing in: by a key, a session, a token or a function of the application, and the user whom it names."""
