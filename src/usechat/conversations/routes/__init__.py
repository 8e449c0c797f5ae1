"""The routes of saved chats."""
