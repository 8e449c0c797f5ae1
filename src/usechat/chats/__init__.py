"""Chats: conversations that are kept. Messages are UI messages in JSON, stored as the client has them."""
