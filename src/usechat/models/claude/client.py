"""Share clients of the ``anthropic`` package between models: one for each event loop, key and base URL.

A client owns a pool of connections, and a pool belongs to the event loop in which it was created. The package reads
keys, base URL and retries that are not given here from ``ANTHROPIC_API_KEY``, ``ANTHROPIC_AUTH_TOKEN``,
``ANTHROPIC_BASE_URL``, its profiles and its defaults. The package is imported at first use, because its import takes
half a second.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from usechat.errors import ConfigurationError
from usechat.models.claude.address import clean_client

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.lib.bedrock import AsyncAnthropicBedrock, AsyncAnthropicBedrockMantle
    from anthropic.lib.vertex import AsyncAnthropicVertex

    from usechat.http1 import Pool

__all__ = ["AnyClient", "ClientSettings", "Upstream", "aclose_client", "shared_client"]

AnyClient: TypeAlias = "AsyncAnthropic | AsyncAnthropicBedrock | AsyncAnthropicBedrockMantle | AsyncAnthropicVertex"
"""The clients of the package. Those for other clouds are subclasses of `AsyncAnthropic`."""

_PLACEHOLDER_KEY = "unused"
"""The key for servers other than Anthropic's when none is set. The package requires a key; these servers ignore it."""


class ClientSettings(msgspec.Struct, frozen=True):
    """The settings of a shared client. Models with equal settings share one."""

    api_key: str | None = None
    base_url: str | None = None


class Upstream(msgspec.Struct, frozen=True):
    """A client, and the connections with which it reaches the provider."""

    client: AnyClient
    pool: Pool | None = None
    """Our pool of connections; ``None`` when the package uses its own: with a proxy, or with the caller's client."""


class _Shared(msgspec.Struct):
    upstream: Upstream
    closer: AsyncGenerator[None]


_clients: dict[tuple[asyncio.AbstractEventLoop, ClientSettings], _Shared] = {}


async def shared_client(settings: ClientSettings) -> Upstream:
    """Return the client with these settings for the running event loop. The first call creates the client.

    `aclose_client` closes the client, or else the end of the event loop.

    Raises:
        ConfigurationError: No key is set, or the package refuses the configuration.
    """
    key = (asyncio.get_running_loop(), settings)
    if key not in _clients:
        # In a thread, because the import would block all other answers.
        for name in ("anthropic", "usechat.models.claude.direct"):
            await asyncio.to_thread(importlib.import_module, name)
    shared = _clients.get(key)
    if shared is None:
        upstream = _new_upstream(settings)
        shared = _Shared(upstream, _close_at_the_end(upstream, key))
        _clients[key] = shared
        await anext(shared.closer)
    return shared.upstream


async def aclose_client(settings: ClientSettings) -> None:
    """Close the client with these settings and its connections. The next call creates a new client."""
    shared = _clients.get((asyncio.get_running_loop(), settings))
    if shared is not None:
        await shared.closer.aclose()


def _new_upstream(settings: ClientSettings) -> Upstream:
    import anthropic
    import httpx2

    from usechat.models.claude.transport import PoolTransport, can_reach_directly, new_pool

    pool = new_pool() if can_reach_directly() else None
    http_client = None if pool is None else anthropic.DefaultAsyncHttpxClient(transport=PoolTransport(pool))
    try:
        client = anthropic.AsyncAnthropic(api_key=settings.api_key, base_url=settings.base_url, http_client=http_client)
    except (anthropic.AnthropicError, ValueError, httpx2.InvalidURL) as error:
        raise ConfigurationError(f"the Anthropic client cannot be made: {error}") from error
    clean_client(client)
    if client.api_key is None and client.auth_token is None and client.credentials is None:
        if client.base_url.host.endswith("anthropic.com"):
            raise ConfigurationError(
                "no key for Anthropic: set ANTHROPIC_API_KEY, or name another server in ANTHROPIC_BASE_URL"
            )
        client.api_key = _PLACEHOLDER_KEY
    return Upstream(client, pool)


async def _close_at_the_end(
    upstream: Upstream, key: tuple[asyncio.AbstractEventLoop, ClientSettings]
) -> AsyncGenerator[None]:
    # `asyncio.run` closes suspended generators at its end (`loop.shutdown_asyncgens`). A library has no other hook
    # to close connections that the application did not close.
    try:
        yield
    finally:
        _clients.pop(key, None)
        if upstream.pool is not None:
            await upstream.pool.aclose()
        await upstream.client.close()
