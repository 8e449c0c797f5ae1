"""The requests that checks share: each is made once, when the first check asks for what came of it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from usechat.doctor.check import Unseen
from usechat.doctor.exchange import Exchange
from usechat.doctor.frames import Stream
from usechat.doctor.target import Target
from usechat.protocol.sse import SSEDecoder

__all__ = ["Backend", "Departure"]

SHORT_SECONDS = 30.0
"""Time for a request that no model answers."""


@dataclass(frozen=True)
class Departure:
    """The backend's behaviour after a reader left an answer half read."""

    answer: Exchange
    """The answer, until it was left."""
    meanwhile: Exchange
    """A second reader's response, which was left too."""
    after: Exchange | None
    """What a reader got who came back; None if nobody could."""


class Backend:
    """A backend that is examined.

    Args:
        target: Where it is.
        client: Sends the requests.
    """

    def __init__(self, target: Target, client: httpx.AsyncClient) -> None:
        self.target = target
        self.posted = target.new_body()
        self._client = client
        self._answer: Exchange | None = None
        self._idle: Exchange | None = None
        self._departure: Departure | None = None

    @asynccontextmanager
    async def open(self, method: str, url: str, *, seconds: float, **options: Any) -> AsyncGenerator[Exchange]:
        """Send a request and yield its exchange. The end of the block leaves the response.

        Args:
            method: The HTTP method.
            url: Where it goes.
            seconds: Time for all of it.
            **options: ``content`` (bytes), and ``headers`` in place of the target's.
        """
        exchange = Exchange(seconds)
        options.setdefault("headers", self.target.request_headers())
        try:
            await exchange.send(self._client, self._client.build_request(method, url, **options))
            yield exchange
        finally:
            await exchange.close()

    async def fetch(self, method: str, url: str, *, seconds: float = SHORT_SECONDS, **options: Any) -> Exchange:
        """Return a request's exchange, with the whole body."""
        async with self.open(method, url, seconds=min(seconds, self.target.seconds), **options) as exchange:
            await exchange.read()
        return exchange

    async def answer(self) -> Exchange:
        """Return the exchange of the message that was posted."""
        if self._answer is None:
            content = json.dumps(self.posted).encode()
            self._answer = await self.fetch("POST", self.target.url, seconds=self.target.seconds, content=content)
        return self._answer

    async def stream(self) -> Stream:
        """Return the frames of the answer.

        Raises:
            Unseen: There are none.
        """
        stream = Stream.of(await self.answer())
        if stream is None or (await self.answer()).status != 200:
            raise Unseen("no answer came with frames")
        return stream

    async def idle(self, url: str) -> Exchange:
        """Return the exchange of resuming the chat whose answer has ended, at this address."""
        if self._idle is None:
            self._idle = await self.fetch("GET", url)
        return self._idle

    async def departure(self) -> Departure:
        """Return what was seen of an answer whose readers left.

        Raises:
            Unseen: There is no second answer.
        """
        if self._departure is None:
            self._departure = await self._leave()
        if self._departure.answer.status != 200:
            raise Unseen(f"a second message gets status {self._departure.answer.status}")
        return self._departure

    async def _leave(self) -> Departure:
        """Ask in a new chat, join its answer with a second reader, leave with both, and come back."""
        body = self.target.new_body()
        url, seconds = self.target.stream_url(str(body["id"])), self.target.seconds
        async with self.open("POST", self.target.url, seconds=seconds, content=json.dumps(body).encode()) as answer:
            await answer.read(until_frame())
            async with self.open("GET", url, seconds=seconds) as meanwhile:
                if meanwhile.status == 200:
                    await meanwhile.read(until_frame())
                else:
                    await answer.read(bool)
        if meanwhile.status != 200:
            return Departure(answer, meanwhile, None)
        return Departure(answer, meanwhile, await self.fetch("GET", url, seconds=seconds))


def until_frame() -> Callable[[bytes], bool]:
    """Return a function that gets the pieces of a stream of events, and returns whether one is whole."""
    decoder = SSEDecoder()
    return lambda data: any(True for _ in decoder.feed(data))
