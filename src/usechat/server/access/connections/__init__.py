"""Connections: uvicorn's protocols with bounds on heads, frames and readers that do not read."""
