"""Serves an app on a socket that is there already: ``python -m tests.support.serve tests.conformance.app:app 3``.

Who starts this listens before it does, so that nobody has to try until the server is up. uvicorn's own ``--fd`` takes
every socket for a Unix one, and then leaves on what holds small packets back.
"""

from __future__ import annotations

import socket
import sys

import uvicorn


def main(app: str, descriptor: int) -> None:
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
