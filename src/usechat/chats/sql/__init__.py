"""Chats in a database: SQLite or PostgreSQL."""
