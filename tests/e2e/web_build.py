"""The page as `next start` serves it.

Next writes the address of the Python server into the build, so a port is chosen when it is built, and the build is
used again as long as it was made from the same sources and its port is free.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.sources import checkout_files, fingerprint
from tests.e2e.programs import WEB
from tests.support.programs import ROOT, hold_port

__all__ = ["build_for_next_start"]

_STAMP = ROOT / ".cache" / "stamps" / "e2e-next-start.json"
_BUILD_ID = WEB / ".next-start" / "BUILD_ID"
_BUILD_SECONDS = 240


def build_for_next_start(log: Path) -> socket.socket:
    """Build the page, unless that has been done; return a socket that holds the port on which Python has to listen.

    Raises:
        AssertionError: The build failed; with its output.
    """
    sources = fingerprint(checkout_files("web"))
    known: dict[str, Any] = json.loads(_STAMP.read_text()) if _STAMP.exists() else {}
    if known.get("sources") == sources and known.get("build") == _build_id():
        with suppress(OSError):
            return hold_port(known["port"])
    held = hold_port()
    port = held.getsockname()[1]
    _build(f"http://127.0.0.1:{port}", log)
    _STAMP.parent.mkdir(parents=True, exist_ok=True)
    _STAMP.write_text(json.dumps({"sources": sources, "build": _build_id(), "port": port}))
    return held


def _build(backend: str, log: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if name not in {"NODE_ENV", "USECHAT_STATIC"}}
    with log.open("wb") as output:
        done = subprocess.run(
            ["npm", "--prefix", WEB, "run", "build"],
            env={**variables, "USECHAT_BACKEND": backend},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=_BUILD_SECONDS,
            check=False,
        )
    assert done.returncode == 0, log.read_text(errors="replace")[-4000:]


def _build_id() -> str | None:
    # Whoever builds for another backend in the meantime leaves another id.
    return _BUILD_ID.read_text() if _BUILD_ID.exists() else None
