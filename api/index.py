"""Vercel's entry into the Python backend: the same application as ``usechat serve``'s, set up by USECHAT_ variables."""

from __future__ import annotations

from usechat.server.processes.entry import load_app

app = load_app()
