"""The edge for FastAPI and Starlette: chat requests in, answers out over HTTP and WebSockets."""
