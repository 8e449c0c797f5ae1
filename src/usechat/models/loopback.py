"""An ``anthropic`` client for servers of our own on this machine.

One client a call and one connection a request: nothing is bound to an event loop, and nothing is left open. The package
is imported at first use, because that takes half a second.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from usechat.extras import needing

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

__all__ = ["LoopbackServer", "loopback_client"]


class LoopbackServer(Protocol):
    """A server of our own that speaks Anthropic's Messages API."""

    def start(self) -> tuple[str, str]:
        """Start it unless it runs, from any thread, and give its base URL and its API key."""
        ...


def loopback_client(base_url: str, api_key: str, *, headers: Mapping[str, str] | None = None) -> AsyncAnthropic:
    """A client to use as an async context manager, which closes it.

    Args:
        base_url: Address of the server, on 127.0.0.1.
        api_key: Its key. Because it is given, no key of the environment is looked at.
        headers: Sent with every request.
    """
    from anthropic import AsyncAnthropic, DefaultAioHttpClient

    with needing("local"):
        # The client below speaks through it, and names an extra of its own package where it is missing.
        importlib.import_module("aiohttp")

    # trust_env: a proxy that is set for the world outside cannot reach this machine's loopback.
    # connection: close, because llama.cpp drops one in ten streams on a connection that is used again.
    return AsyncAnthropic(
        base_url=base_url,
        api_key=api_key,
        http_client=DefaultAioHttpClient(trust_env=False, verify=False),
        default_headers={"connection": "close", **(headers or {})},
    )
