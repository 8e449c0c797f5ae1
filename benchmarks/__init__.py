"""The cost of a streamed answer: our server against other ways to write it. Run from the checkout, never installed."""
