"""A PostgreSQL server of the tests' own, on a free port of loopback."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.programs import hold_port
from usechat.chats.sql.migrations.migrate import migrate

__all__ = ["PostgresServer"]

_START_SECONDS = 60.0
_STOP_SECONDS = 60.0
_COPIES_FILES = 15
"""The first version that can be told to."""
# Durable writes are PostgreSQL's own to prove, and take most of a test's time.
_SETTINGS = ("fsync=off", "full_page_writes=off", "max_connections=200")
_FORGETS = "synchronous_commit=off"
"""It answers before the system has what was committed: what is younger than a second goes with a killed server."""


class PostgresServer:
    """Debian's PostgreSQL, newest version, with a cluster in a temporary folder.

    The server refuses to be root: as root, its programs run as the user ``postgres`` that Debian's package makes.

    Args:
        keeps: Whether it has all that was committed again after it was killed.
    """

    def __init__(self, *, keeps: bool = False) -> None:
        self._settings = _SETTINGS if keeps else (*_SETTINGS, _FORGETS)
        self.programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        """Where ``psql`` and ``pg_dump`` of its version are, too."""
        self._version = int(self.programs.parent.name)
        # Not pytest's own folder, which nobody but the one who runs the tests may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="usechat-postgres-"))
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        # It is stopped and started again; meanwhile nobody else gets the port.
        self._held = hold_port()
        self.port: int = self._held.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._migrated: str | None = None
        options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._run("initdb", f"--pgdata={self._data}", *options, user=self._user)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _log(self) -> Path:
        return self._folder / "postgres.log"

    @property
    def pid(self) -> int:
        """The process that all others of it come from."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self._folder}"]
        arguments = [flag for setting in (*settings, *self._settings) for flag in ("-c", setting)]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self._data, *arguments],
                cwd=self._folder,
                stdout=output,
                stderr=output,
                user=self._user,
                group=self._user,
            )
        end = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(self._log.read_text(errors="replace"))

    def _is_ready(self) -> bool:
        command = [self.programs / "pg_isready", "--host=127.0.0.1", f"--port={self.port}", "--quiet"]
        return subprocess.run(command, check=False).returncode == 0

    def make_database(self, *, template: str = "template1") -> str:
        """A new database with what the template has, to which nobody may be connected; its URL."""
        name = f"test_{next(self._numbers)}"
        # Copying the files takes half the time of logging each page of them, where nothing is written durably.
        strategy = "STRATEGY FILE_COPY" if self._version >= _COPIES_FILES else ""
        self.ask(f"CREATE DATABASE {name} TEMPLATE {template} {strategy}")
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def make_migrated_database(self) -> str:
        """A new database with usechat's tables; its URL. They are made once, and copied from then on."""
        if self._migrated is None:
            url = self.make_database()
            # A thread of its own has no event loop yet.
            with ThreadPoolExecutor(1) as threads:
                threads.submit(asyncio.run, migrate(url)).result()
            self._migrated = url.rpartition("/")[2]
        return self.make_database(template=self._migrated)

    def ask(self, statement: str, *, database: str = "postgres") -> str:
        """Run a statement as the superuser; what it answers."""
        options = ["--host=127.0.0.1", f"--port={self.port}", "--username=postgres", "--no-psqlrc", "-At"]
        return self._run("psql", *options, f"--dbname={database}", "--set=ON_ERROR_STOP=1", f"--command={statement}")

    def drop_connections(self) -> int:
        """Cut every client's connection; how many there were."""
        alive = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        return self.ask(f"{alive} AND pid <> pg_backend_pid()").count("t")

    def _run(self, program: str, *arguments: str, user: str | None = None) -> str:
        command = [self.programs / program, *arguments]
        done = subprocess.run(
            command, cwd=self._folder, user=user, group=user, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: as it should, or at once, its clients' connections with it."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End it at once, and have what it kept removed."""
        self.stop(signal.SIGQUIT)
        self._held.close()
        # Each database is some 300 files. A busy disk takes minutes to remove those of hundreds: nobody waits for that.
        subprocess.run(["sh", "-c", 'exec rm -rf "$0" > /dev/null 2>&1 &', self._folder], check=True)
