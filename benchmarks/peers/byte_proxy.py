"""The limit of whatever streams from an upstream: its bytes passed on as they are, nothing decoded.

PEER_CLIENT=aiohttp reads them through aiohttp, otherwise through a bare asyncio protocol.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import aiohttp

from benchmarks.peers.asgi import Receive, Scope, Send, read_body, start
from benchmarks.peers.byte_client import ByteClient

BASE_URL = os.environ["ANTHROPIC_BASE_URL"]
HEADERS = {"content-type": "application/json", "x-api-key": os.environ["ANTHROPIC_API_KEY"]}
session: aiohttp.ClientSession | None = None
byte_client = ByteClient(BASE_URL)


def reads(body: bytes) -> AsyncIterator[bytes]:
    """The upstream's answer."""
    if os.environ.get("PEER_CLIENT") == "aiohttp":
        return reads_of_aiohttp(body)
    return byte_client.post("/v1/messages", body, HEADERS)


async def reads_of_aiohttp(body: bytes) -> AsyncIterator[bytes]:
    """The same through aiohttp."""
    global session  # noqa: PLW0603 - a session can be made within an event loop only
    if session is None:
        timeout = aiohttp.ClientTimeout(total=None)
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
    async with session.post(f"{BASE_URL}/v1/messages", data=body, headers=HEADERS) as response:
        async for data in response.content.iter_any():
            yield data


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Post the body to the upstream, and pass on what comes."""
    if scope["type"] != "http":
        return
    body = await read_body(receive)
    await start(send)
    async for data in reads(body):
        await send({"type": "http.response.body", "body": data, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
