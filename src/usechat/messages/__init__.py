"""Messages: those that a client posts, those that a model gets, and the conversion between them."""
