"""Saved chats. Messages are UI messages in JSON, stored as the client has them."""
