"""The AI SDK's own stream from another backend, such as a Next.js route."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator

from usechat.adapters.reading import closing
from usechat.answers.writer.merge import with_reason
from usechat.errors import DecodeError, ProviderStreamError
from usechat.parts import Abort, Error, Finish, Part
from usechat.protocol.decoders import DataStreamDecoder, UIMessageStreamDecoder

__all__ = ["from_ai_sdk"]

CUT = "the stream was cut"
ENDS = (Abort, Error, Finish)


async def from_ai_sdk(stream: AsyncIterable[bytes | str], *, data_stream: bool = False) -> AsyncGenerator[Part]:
    """Yield the parts of another backend's answer.

        async def relayed() -> AsyncIterator[Part]:
            async with client.stream("POST", url, json=body) as response:
                response.raise_for_status()
                async for part in from_ai_sdk(response.aiter_bytes()):
                    yield part

    Its version need not be that of your client: it is read as the newest client reads it, and sent as yours does.

    Args:
        stream: The body, cut anywhere.
        data_stream: True for the data stream of AI SDK 4 and before; else it is a UI message stream.

    Raises:
        DecodeError: The body is no such stream.
        ProviderStreamError: It ended before its end.
        Exception: Those of the stream.
    """
    decoder = DataStreamDecoder() if data_stream else UIMessageStreamDecoder()
    is_over = False
    async with closing(stream) as pieces:
        async for parts in decoded(pieces, decoder):
            for part in parts:
                is_over = is_over or isinstance(part, ENDS)
                yield with_reason(part)
    if not is_over:
        raise ProviderStreamError(CUT, provider="ai-sdk")


async def decoded(
    pieces: AsyncIterator[bytes | str], decoder: DataStreamDecoder | UIMessageStreamDecoder
) -> AsyncGenerator[list[Part]]:
    async for piece in pieces:
        yield decoder.feed(piece.encode() if isinstance(piece, str) else piece)
    try:
        yield decoder.finish()
    except DecodeError as error:
        raise ProviderStreamError(CUT, provider="ai-sdk") from error
