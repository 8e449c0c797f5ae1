"""How the server answers a chat, and how an answer's turn ends."""
