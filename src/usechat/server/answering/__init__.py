"""The server's answers to chats."""
