"""Saved chats with their running answers, for any application: turns, owners, resume and stop."""
