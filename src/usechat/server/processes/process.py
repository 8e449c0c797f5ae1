"""`usechat serve`: the application in uvicorn, in one process or several, on our own socket."""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from usechat.extras import needing

with needing("server"):
    import uvicorn
    from uvicorn.supervisors import ChangeReload

import usechat
from usechat.errors import ConfigurationError
from usechat.server.access.connections.http_protocol import BoundedHttpProtocol, ServerConfig
from usechat.server.answering.choice import choose_model
from usechat.server.environment import load_environment
from usechat.server.log import log_config
from usechat.server.persistence import check_storage
from usechat.server.processes.shutdown import CLOSING_SECONDS, STOP_SIGNALS
from usechat.server.processes.workers import Workers
from usechat.server.settings import Settings

__all__ = ["serve"]

APP: Final = "usechat.server.processes.entry:load_app"
SOCKET_PROTOCOL: Final = "usechat.server.access.connections.socket_protocol:BoundedSocketProtocol"
BACKLOG: Final = 2048
ACCEPTED_AT_ONCE: Final = 8 if os.name == "posix" else 1
"""Connections that one pass of the event loop accepts. uvloop takes one of each listening socket.

A pass over some hundred streams can take 20 ms: with one socket, clients would wait a second and more in the system's
queue, also to be refused. Many more would let new answers hold up the streams, and each socket costs 4 µs when a client
comes alone. Windows has no uvloop, and asyncio takes no copies of a listening socket there. Source: libuv, pull request
3696 (one connection of a socket in a pass).
"""
UNSENT_BYTES: Final = 128 * 2**10
"""What the system holds of an answer that the client has no room for yet."""
KEEP_ALIVE_SECONDS: Final = 75
"""Seconds. Proxies must close idle connections first (nginx: 60 s), or requests on their way are lost."""


def serve(*, reload: bool, announce: Callable[[str], None]) -> None:
    """Serve until told to stop.

    Args:
        reload: Start anew whenever the sources of this package, or those of the agent, change.
        announce: Gets the line with the address and the model, once the server answers requests.
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
        # Once, before workers start and before anybody can connect.
        check_first(settings)
        if (settings.workers > 1 or reload) and settings.approval_secret is None:
            # All workers, later ones too, must accept what one of them has signed.
            os.environ["USECHAT_APPROVAL_SECRET"] = secrets.token_urlsafe(32)
        limit_unread(listener, settings.send_seconds)
        listen(listener, settings.host, settings.port)
        line = f"usechat {usechat.__version__} listens on {url_of(listener)} - {choice.reason}"
        run(uvicorn_config(settings, reload=reload), listener, partial(announce, line))


def check_first(settings: Settings) -> None:
    try:
        asyncio.run(stoppable(check_storage(settings)))
    except asyncio.CancelledError:
        leave()


async def stoppable(work: Coroutine[object, object, None]) -> None:
    """Do some work; cancel it when a signal stops the server.

    A signal handler may run between any two steps of Python. One that cancels at once (as that of ``asyncio.run``
    does) or raises can hit the event loop in the middle of its own work, which then logs an error. This one leaves
    the cancelling to the loop.
    """
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

    def stop(*_: object) -> None:
        loop.call_soon_threadsafe(task.cancel)

    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        await task
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class TellingServer(uvicorn.Server):
    """A uvicorn server that calls back when it answers requests.

    Args:
        config: As for uvicorn.
        on_ready: Called once, when the application has started and connections are accepted.
    """

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application and accept connections."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()


def run(config: uvicorn.Config, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    with ExitStack() as opened, suppress(KeyboardInterrupt):
        # All of them have one queue.
        listeners = [listener, *(opened.enter_context(listener.dup()) for _ in range(ACCEPTED_AT_ONCE - 1))]
        if config.should_reload:
            ChangeReload(config, target=TellingServer(config, on_ready).run, sockets=listeners).run()
        elif config.workers > 1:
            Workers(config, listeners, on_ready).run()
        else:
            TellingServer(config, on_ready).run(sockets=listeners)


def leave(*_: object) -> NoReturn:
    sys.exit(0)


def uvicorn_config(settings: Settings, *, reload: bool) -> uvicorn.Config:
    return ServerConfig(
        APP,
        head_seconds=settings.head_seconds,
        send_seconds=settings.send_seconds,
        http=BoundedHttpProtocol,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=1 if reload else settings.workers,
        reload=reload,
        reload_dirs=reload_folders(settings) if reload else None,
        log_config=log_config(settings),
        access_log=settings.access_log,
        server_header=False,
        ws=SOCKET_PROTOCOL,
        ws_max_size=settings.max_body_bytes,
        # Before the key is known, a few compressed kilobytes could grow to the largest size.
        ws_per_message_deflate=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_seconds + CLOSING_SECONDS,
    )


def reload_folders(settings: Settings) -> list[str]:
    # The application's own modules are in the working folder.
    own = [] if settings.agent is None else [str(Path.cwd())]
    return [str(Path(usechat.__file__).parent), *own]


def bind(host: str, port: int) -> socket.socket:
    """Bind a socket to an address and return it. It does not listen yet.

    Raises:
        ConfigurationError: The address cannot be used; the text says what to do.
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


def limit_unread(listener: socket.socket, seconds: float) -> None:
    """Bound what the system holds for clients that do not read, where it can: inherited by what the socket accepts.

    Without `UNSENT_BYTES` Linux takes some megabytes for each, and says that there is room again when a third is read.

    Args:
        listener: The socket, before it listens.
        seconds: For how long a client may take nothing. Only Linux ends its connection then.
    """
    options = {"TCP_NOTSENT_LOWAT": UNSENT_BYTES, "TCP_USER_TIMEOUT": round(seconds * 1000)}
    for name, value in options.items():
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def listen(listener: socket.socket, host: str, port: int) -> None:
    """Let a socket of `bind` accept connections.

    Raises:
        ConfigurationError: Another process listens there by now.
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
