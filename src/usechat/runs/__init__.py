"""Runs: answers with a life of their own, read by any number of readers. Carries bytes and knows no chunk."""
