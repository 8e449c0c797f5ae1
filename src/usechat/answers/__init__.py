"""The loop: a model, its tools and the steps between them, as parts. Knows no HTTP and no wire format."""
