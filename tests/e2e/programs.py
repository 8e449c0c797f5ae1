"""The page as `next start` serves it, in a process of its own."""

from __future__ import annotations

from pathlib import Path

from tests.support.programs import ROOT, Program, hold_port

__all__ = ["WEB", "next_start"]

WEB = ROOT / "web"


def next_start(*, folder: Path) -> Program:
    """``next start`` with the build that lies in ``web/``."""
    held = hold_port()
    port = held.getsockname()[1]
    server = Program(
        ["node", WEB / "node_modules" / "next" / "dist" / "bin" / "next", "start", "-H", "127.0.0.1", "-p", str(port)],
        ready="Ready in",
        folder=WEB,
        log=folder / "next.log",
        held=held,
        variables={"NEXT_TELEMETRY_DISABLED": "1"},
    )
    server.url = f"http://127.0.0.1:{port}"
    return server
