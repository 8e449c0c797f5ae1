"""A pooler before the tests' PostgreSQL, which gives each transaction another connection to it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.programs import hold_port

__all__ = ["PgBouncer"]

_START_SECONDS = 30.0
_CONNECTIONS = 4
"""To each database. Several, so that what belongs to a connection is missed in another one."""


class PgBouncer:
    """Debian's PgBouncer in transaction mode, on a free port of loopback.

    Like PostgreSQL it refuses to be root, and runs as ``postgres`` then.

    Args:
        server_port: Where PostgreSQL is.
    """

    def __init__(self, server_port: int) -> None:
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            raise FileNotFoundError("pgbouncer is not installed")
        user = "postgres" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="usechat-pgbouncer-"))
        self._held = hold_port()
        self.port: int = self._held.getsockname()[1]
        settings = self._folder / "settings.ini"
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server_port} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {_CONNECTIONS}\n"
            "max_client_conn = 500\nserver_round_robin = 1\nignore_startup_parameters = extra_float_digits\n"
        )
        if user is not None:
            shutil.chown(self._folder, user)
        self._log = self._folder / "log"
        with self._log.open("wb") as output:
            self._process = subprocess.Popen([program, settings], stdout=output, stderr=output, user=user, group=user)
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(self._log.read_text(errors="replace")) from None
                time.sleep(0.01)
            else:
                return

    def url_of(self, url: str) -> str:
        """The URL of a database of the server, through the pooler."""
        return urlsplit(url)._replace(netloc=f"postgres@127.0.0.1:{self.port}").geturl()

    def close(self) -> None:
        """End it, and remove its folder."""
        self._process.kill()
        self._process.wait()
        self._held.close()
        shutil.rmtree(self._folder)
