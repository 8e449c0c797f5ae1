"""`usechat serve`: the application in uvicorn, in one process or several, on a socket that is ours."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from usechat.extras import needing

with needing("server"):
    import uvicorn
    from uvicorn.supervisors import ChangeReload

import usechat
from usechat.errors import ConfigurationError
from usechat.server.choice import choose_model
from usechat.server.environment import load_environment
from usechat.server.persistence import check_storage
from usechat.server.settings import Settings
from usechat.server.shutdown import CLOSING_SECONDS
from usechat.server.workers import Workers

__all__ = ["serve"]

APP: Final = "usechat.server.entry:load_app"
SOCKET_PROTOCOL: Final = "usechat.server.socket_protocol:BoundedSocketProtocol"
BACKLOG: Final = 2048
KEEP_ALIVE_SECONDS: Final = 75
"""Longer than proxies keep an idle connection (nginx 60 s): who closes first must not be the server, or requests get
lost on the way."""


def serve(*, reload: bool, announce: Callable[[str], None]) -> None:
    """Serve until told to stop.

    Args:
        reload: Start anew whenever this package's sources change.
        announce: Gets the line that says where the server listens and which model answers, once it answers requests.
            With ``reload`` it is called in another process, so it must be picklable, and called after each new start.

    Raises:
        ConfigurationError: A setting is wrong, the address cannot be listened on, or the database or Redis cannot be
            used.
    """
    settings = load_environment().settings
    settings.check_exposure()
    choice = choose_model(settings)
    with bind(settings.host, settings.port) as listener:
        # uvicorn raises the signal that stopped it once more at its end; the default would be to die of it.
        signal.signal(signal.SIGTERM, leave)
        # Before there are workers, each of which would find out for itself, and before anybody is let in.
        asyncio.run(check_storage(settings))
        if (settings.workers > 1 or reload) and settings.approval_secret is None:
            # All workers, and those that come after them, check what one of them has signed.
            os.environ["USECHAT_APPROVAL_SECRET"] = secrets.token_urlsafe(32)
        listen(listener, settings.host, settings.port)
        line = f"usechat {usechat.__version__} listens on {url_of(listener)} - {choice.reason}"
        run(uvicorn_config(settings, reload=reload), listener, partial(announce, line))


class TellingServer(uvicorn.Server):
    """A server that tells when it answers requests.

    Args:
        config: As for uvicorn.
        on_ready: Called once, when the application has started and connections are accepted.
    """

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, and accept connections."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()


def run(config: uvicorn.Config, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    try:
        if config.should_reload:
            ChangeReload(config, target=TellingServer(config, on_ready).run, sockets=[listener]).run()
        elif config.workers > 1:
            Workers(config, listener, on_ready).run()
        else:
            TellingServer(config, on_ready).run(sockets=[listener])
    except KeyboardInterrupt:
        pass


def leave(*_: object) -> NoReturn:
    sys.exit(0)


def uvicorn_config(settings: Settings, *, reload: bool) -> uvicorn.Config:
    return uvicorn.Config(
        APP,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=1 if reload else settings.workers,
        reload=reload,
        reload_dirs=[str(Path(usechat.__file__).parent)] if reload else None,
        log_config=log_config(settings),
        access_log=settings.access_log,
        server_header=False,
        ws=SOCKET_PROTOCOL,
        ws_max_size=settings.max_body_bytes,
        # A few kilobytes on the wire could become any size that is allowed, before the key is known.
        ws_per_message_deflate=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_seconds + CLOSING_SECONDS,
    )


def log_config(settings: Settings) -> dict[str, Any]:
    """Our own lines as the settings say; uvicorn's and other packages' from warnings on, unless all is wanted."""
    level = settings.log_level.upper()
    others = "WARNING" if level == "INFO" else level
    form = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": "usechat.server.log.RequestIdFilter"}},
        "formatters": {"line": {"format": form}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request_id"]},
        },
        "root": {"handlers": ["stderr"], "level": others},
        "loggers": {"usechat": {"level": level}, "uvicorn.access": {"level": "INFO"}},
    }


def bind(host: str, port: int) -> socket.socket:
    """A socket with an address, which does not listen yet.

    Raises:
        ConfigurationError: It is not to be had; the text says what to do.
    """
    try:
        addresses = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
        # A name such as localhost may stand for both; programs that write an address write 127.0.0.1.
        family, kind, protocol, _, address = min(addresses, key=lambda found: found[0] != socket.AF_INET)
        # With the protocol named, asyncio turns off Nagle's algorithm on what is accepted: without it, deltas wait for
        # the acknowledgement of the one before.
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise listen_error(error, host, port) from error
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise listen_error(error, host, port) from error
    listener.set_inheritable(True)
    return listener


def listen(listener: socket.socket, host: str, port: int) -> None:
    """Have a socket of `bind` take connections.

    Raises:
        ConfigurationError: Another process was faster to listen there.
    """
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        raise listen_error(error, host, port) from error


def listen_error(error: OSError, host: str, port: int) -> ConfigurationError:
    match error.errno:
        case errno.EADDRINUSE:
            return ConfigurationError(
                f"Port {port} on {host} is in use: USECHAT_PORT (--port) must be a free one, or 0 to let one be found."
            )
        case errno.EACCES:
            return ConfigurationError(f"USECHAT_PORT (--port) must be one that this user may listen on, not {port}.")
        case _:
            return ConfigurationError(f"USECHAT_HOST (--host) must be an address of this machine ({error.strerror}).")


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
