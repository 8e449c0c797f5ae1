"""The ``anthropic`` package's clients that models share: one for each event loop, key and base URL.

A client owns a pool of connections, and a pool belongs to the event loop that it was made in. Keys, base URL and
retries are the package's own: what is not given here it takes from ``ANTHROPIC_API_KEY``, ``ANTHROPIC_AUTH_TOKEN``,
``ANTHROPIC_BASE_URL`` and its profiles. The package is imported at first use only, for that takes half a second.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from usechat.errors import ConfigurationError
from usechat.models.anthropic_address import put_in_order

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.lib.bedrock import AsyncAnthropicBedrock, AsyncAnthropicBedrockMantle
    from anthropic.lib.vertex import AsyncAnthropicVertex

    from usechat.models.anthropic_transport import StreamingTransport

__all__ = ["AnyClient", "ClientSettings", "aclose_client", "shared_client"]

AnyClient: TypeAlias = "AsyncAnthropic | AsyncAnthropicBedrock | AsyncAnthropicBedrockMantle | AsyncAnthropicVertex"
"""The package's clients; those for the other clouds are `AsyncAnthropic`s."""

_PLACEHOLDER_KEY = "unused"
"""Sent to servers other than Anthropic's when no key is set: the package insists on one, and they do not look at it."""


class ClientSettings(msgspec.Struct, frozen=True):
    """What tells one shared client from another."""

    api_key: str | None = None
    base_url: str | None = None


class _Shared(msgspec.Struct):
    client: AsyncAnthropic
    closer: AsyncGenerator[None]


_clients: dict[tuple[asyncio.AbstractEventLoop, ClientSettings], _Shared] = {}


async def shared_client(settings: ClientSettings) -> AsyncAnthropic:
    """The client with these settings for the running event loop, made when it is first asked for.

    It is closed with `aclose_client`, or when the event loop ends.

    Raises:
        ConfigurationError: No key is set, or the package cannot be configured.
    """
    key = (asyncio.get_running_loop(), settings)
    if key not in _clients:
        # In a thread: the import would keep every other answer waiting.
        for name in ("anthropic", "usechat.models.anthropic_package_client", "usechat.models.anthropic_transport"):
            await asyncio.to_thread(importlib.import_module, name)
    shared = _clients.get(key)
    if shared is None:
        shared = _Shared(*_new_client(settings, key))
        _clients[key] = shared
        await anext(shared.closer)
    return shared.client


async def aclose_client(settings: ClientSettings) -> None:
    """Close the client with these settings and its connections; the next call makes a new one."""
    shared = _clients.get((asyncio.get_running_loop(), settings))
    if shared is not None:
        await shared.closer.aclose()


def _new_client(
    settings: ClientSettings, key: tuple[asyncio.AbstractEventLoop, ClientSettings]
) -> tuple[AsyncAnthropic, AsyncGenerator[None]]:
    import anthropic
    import httpx2

    from usechat.models.anthropic_package_client import AsyncAnthropic

    try:
        client = AsyncAnthropic(api_key=settings.api_key, base_url=settings.base_url, transport=_maybe_own_transport())
    except (anthropic.AnthropicError, ValueError, httpx2.InvalidURL) as error:
        raise ConfigurationError(f"the Anthropic client cannot be made: {error}") from error
    put_in_order(client)
    if client.api_key is None and client.auth_token is None and client.credentials is None:
        if client.base_url.host.endswith("anthropic.com"):
            raise ConfigurationError(
                "no key for Anthropic: set ANTHROPIC_API_KEY, or name another server in ANTHROPIC_BASE_URL"
            )
        client.api_key = _PLACEHOLDER_KEY
    return client, _close_at_the_end(client, key)


def _maybe_own_transport() -> StreamingTransport | None:
    """Our own transport; none, and so the package's, where a proxy must be gone through."""
    from usechat.models.anthropic_transport import StreamingTransport, can_reach_directly

    return StreamingTransport() if can_reach_directly() else None


async def _close_at_the_end(
    client: AsyncAnthropic, key: tuple[asyncio.AbstractEventLoop, ClientSettings]
) -> AsyncGenerator[None]:
    # A generator that is suspended here is closed by `asyncio.run` (`loop.shutdown_asyncgens`), which is the only
    # moment at which a library can close connections that nobody has told it to close.
    try:
        yield
    finally:
        _clients.pop(key, None)
        await client.close()
