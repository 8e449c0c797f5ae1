"""Access: who may send a request, and how much of it is read."""
