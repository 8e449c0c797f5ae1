"""Small backends that run: ``uvicorn examples.five_lines:app``."""
