"""Builds the Vercel deployment with Vercel's own CLI and boots the function that comes out, as the platform does.

What the platform does stands in the function itself: ``@vercel/python`` (25.0.0) writes ``vc__handler__python.py``,
which serves HTTP on a port of its own and tells it over the socket that ``VERCEL_IPC_PATH`` names.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.sources import checkout_files, fingerprint

ROOT = Path(__file__).resolve().parents[2]
VERCEL = Path(__file__).with_name("node_modules") / ".bin" / "vercel"
PYTHON = ROOT / ".cache" / "deploy-python" / "bin" / "python"
BUILT = ROOT / ".cache" / "deployment"
LEFT_OUT = {"tests", "docs", "benchmarks", "examples", "scripts"}
"""Folders that neither service of ``vercel.json`` takes files from."""
PROJECT = {"projectId": "prj_offline", "orgId": "team_offline", "settings": {"framework": None}}
BUILD_SECONDS = 800
BOOT_SECONDS = 60

_KEEPS_BYTECODE = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(BUILT / "bytecode")}
"""The builder forbids it, so that each function compiles all that it imports, for three seconds; here one does."""


def current_build(log: Path) -> Path:
    """The folder of what the builder makes of this checkout; built, unless it was before from the same.

    Of several processes that need it at once, one builds and the others wait.

    Raises:
        AssertionError: The build failed; the text is its log.
    """
    with BUILT.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _build_unless_built(log)


def _build_unless_built(log: Path) -> Path:
    files = checkout_files()
    how = [Path(__file__), Path(__file__).with_name("package-lock.json"), PYTHON.parents[1] / "pyvenv.cfg"]
    what = [name for name in files if name.parts[0] not in LEFT_OUT]
    made_from = fingerprint([*sorted(what), *how])
    stamp = BUILT / "made-from"
    if not stamp.exists() or stamp.read_text() != made_from:
        with tempfile.TemporaryDirectory() as folder:
            copy(files, Path(folder))
            build(Path(folder), log)
            shutil.rmtree(BUILT, ignore_errors=True)
            BUILT.mkdir()
            shutil.move(Path(folder) / ".vercel" / "output", BUILT)
        stamp.write_text(made_from)
    return BUILT / "output"


def copy(files: Iterable[Path], target: Path) -> None:
    """Copy files of the checkout: the builder writes into the tree it builds."""
    for name in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)


def build(tree: Path, log: Path) -> None:
    """Build the deployment of a tree into its ``.vercel/output``.

    Raises:
        AssertionError: The build failed; the text is its log.
    """
    settings = tree / ".vercel" / "project.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps(PROJECT))
    with tempfile.TemporaryDirectory() as cli_settings, log.open("w") as output:
        command = [VERCEL, "build", "--yes", "--standalone", "-Q", cli_settings]
        code = run_group(command, cwd=tree, env=build_environment(), stdout=output, stderr=output)
    assert code == 0, log.read_text()


def run_group(command: Sequence[str | Path], **options: Any) -> int:
    """Run a program; whatever becomes of this one, nothing that it started stays behind."""
    process = subprocess.Popen(command, start_new_session=True, **options)
    try:
        return process.wait(BUILD_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def build_environment() -> dict[str, str]:
    # The builder takes the newest of the Pythons that uv finds on the path, and to uv a virtual environment is none.
    tell = "import sys; print(sys.base_prefix)"
    base = subprocess.run([PYTHON, "-c", tell], check=True, capture_output=True, text=True).stdout.strip()
    path = os.pathsep.join([str(PYTHON.parent), f"{base}/bin", os.environ["PATH"]])
    return {**os.environ, "PATH": path, "VERCEL_TELEMETRY_DISABLED": "1", "NEXT_TELEMETRY_DISABLED": "1"}


class Platform:
    """Vercel's side of a function: where it listens, and what it says of the requests it has.

    Args:
        listening: The socket that the function is told of.
        log: What the function prints.
    """

    def __init__(self, listening: socket.socket, log: Path) -> None:
        try:
            self._connection, _ = listening.accept()
        except TimeoutError:
            raise AssertionError(f"the function did not start:\n{log.read_text()}") from None
        self._connection.settimeout(BOOT_SECONDS)
        self._received = b""
        self.url = f"http://127.0.0.1:{self.wait_for('server-started')['httpPort']}"

    def wait_for(self, kind: str, **context: str) -> dict[str, Any]:
        """The payload of the next message of a kind, in this context; those before it are passed over."""
        while True:
            *messages, self._received = self._received.split(b"\0", 1)
            for message in map(json.loads, messages):
                payload = message["payload"]
                if message["type"] == kind and context.items() <= payload.get("context", {}).items():
                    return payload
            if not messages:
                piece = self._connection.recv(65536)
                assert piece, f"the function ended before it said {kind}"
                self._received += piece

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@dataclass(frozen=True)
class Function:
    """A running function."""

    platform: Platform
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def booted(function: Path, variables: Mapping[str, str], log: Path) -> Generator[Function]:
    """Run a built function."""
    config = json.loads((function / ".vc-config.json").read_text())
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening, log.open("a") as output:
        listening.settimeout(BOOT_SECONDS)
        listening.bind(f"{folder}/ipc")
        listening.listen()
        process = subprocess.Popen(
            [PYTHON, "-S", "-c", f"import {config['handler'].split('.')[0]}"],
            cwd=function,
            env={
                "PATH": os.environ["PATH"],
                "VERCEL": "1",
                "VERCEL_IPC_PATH": f"{folder}/ipc",
                **config["environment"],
                **_KEEPS_BYTECODE,
                **variables,
            },
            stdout=output,
            stderr=output,
        )
        try:
            with contextlib.closing(Platform(listening, log)) as platform:
                yield Function(platform, process)
        finally:
            process.kill()
            process.wait()
