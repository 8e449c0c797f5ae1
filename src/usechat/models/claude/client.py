"""The ``anthropic`` package's clients that models share: one for each event loop, key and base URL.

A client owns a pool of connections, and a pool belongs to the event loop that it was made in. Keys, base URL and the
number of retries are the package's own: what is not given here it takes from ``ANTHROPIC_API_KEY``,
``ANTHROPIC_AUTH_TOKEN``, ``ANTHROPIC_BASE_URL`` and its profiles. The package is imported at first use only, for that
takes half a second.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from usechat.errors import ConfigurationError
from usechat.models.claude.address import put_in_order

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.lib.bedrock import AsyncAnthropicBedrock, AsyncAnthropicBedrockMantle
    from anthropic.lib.vertex import AsyncAnthropicVertex

    from usechat.http1 import Pool

__all__ = ["AnyClient", "ClientSettings", "Upstream", "aclose_client", "shared_client"]

AnyClient: TypeAlias = "AsyncAnthropic | AsyncAnthropicBedrock | AsyncAnthropicBedrockMantle | AsyncAnthropicVertex"
"""The package's clients; those for the other clouds are `AsyncAnthropic`s."""

_PLACEHOLDER_KEY = "unused"
"""Sent to servers other than Anthropic's when no key is set: the package insists on one, and they do not look at it."""


class ClientSettings(msgspec.Struct, frozen=True):
    """What tells one shared client from another."""

    api_key: str | None = None
    base_url: str | None = None


class Upstream(msgspec.Struct, frozen=True):
    """The way to a provider."""

    client: AnyClient
    pool: Pool | None = None
    """Our connections; None where the package uses its own: through a proxy, or with a client of the caller's."""


class _Shared(msgspec.Struct):
    upstream: Upstream
    closer: AsyncGenerator[None]


_clients: dict[tuple[asyncio.AbstractEventLoop, ClientSettings], _Shared] = {}


async def shared_client(settings: ClientSettings) -> Upstream:
    """Return the client with these settings for the running event loop, made when it is first asked for.

    It is closed with `aclose_client`, or when the event loop ends.

    Raises:
        ConfigurationError: No key is set, or the package cannot be configured.
    """
    key = (asyncio.get_running_loop(), settings)
    if key not in _clients:
        # In a thread: the import would keep every other answer waiting.
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
    """Close the client with these settings and its connections; the next call makes a new one."""
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
    put_in_order(client)
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
    # A generator that is suspended here is closed by `asyncio.run` (`loop.shutdown_asyncgens`), which is the only
    # moment at which a library can close connections that nobody has told it to close.
    try:
        yield
    finally:
        _clients.pop(key, None)
        if upstream.pool is not None:
            await upstream.pool.aclose()
        await upstream.client.close()
