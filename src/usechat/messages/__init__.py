"""Messages: what a client posts, what a model is given, and the way from one to the other."""
