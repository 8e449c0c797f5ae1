"""Serves a program of docs/frameworks.md on a socket that is there already (`tests.support.forks`)."""

from __future__ import annotations

import asyncio
import importlib
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
from aiohttp import web
from hypercorn.config import Config


def main(server: str, program: str, descriptor: int) -> None:
    sys.path.insert(0, str(Path(program).parent))
    app: Any = importlib.import_module(Path(program).stem).app
    if server == "uvicorn":
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])
    elif server == "hypercorn":
        hypercorn = Config()
        hypercorn.bind = [f"fd://{descriptor}"]
        # Its annotations are not whole.
        servers: Any = importlib.import_module("hypercorn.asyncio")
        asyncio.run(servers.serve(app, hypercorn))
    else:
        web.run_app(app, sock=socket.socket(fileno=descriptor), handler_cancellation=True, print=None)
