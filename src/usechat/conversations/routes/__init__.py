"""The routes of an application's chats."""
