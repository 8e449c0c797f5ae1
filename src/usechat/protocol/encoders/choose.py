"""Chooses the encoder of a wire format and a dialect."""

from __future__ import annotations

from typing import Final, assert_never

from usechat.protocol.dialects import AUTO, LINE_MAJORS, NEWEST, UI_MESSAGE_STREAM_SINCE, Dialect
from usechat.protocol.encoders.base import Encoder, WireFormat
from usechat.protocol.encoders.data_stream import DataStreamEncoder
from usechat.protocol.encoders.events import EventsEncoder
from usechat.protocol.encoders.text_stream import TextStreamEncoder
from usechat.protocol.encoders.ui_message_stream import UIMessageStreamEncoder
from usechat.protocol.options import EncoderOptions
from usechat.protocol.shaping import ChunkShaper, chunk_dialect

__all__ = ["encode_for", "make_encoder"]

NEWEST_LINES: Final = Dialect(NEWEST[4], exact=True)


def make_encoder(
    wire_format: WireFormat | None = None, dialect: Dialect = AUTO, options: EncoderOptions | None = None
) -> Encoder:
    """Return an encoder for ``wire_format``; when it is None, for the chat format of the dialect's major."""
    shaper = ChunkShaper(chunk_dialect(dialect, wire_format), options or EncoderOptions())
    return encode_for(wire_format, dialect, shaper)


def encode_for(wire_format: WireFormat | None, dialect: Dialect, shaper: ChunkShaper) -> Encoder:
    """Return the encoder of an answer that has a shaper. See `make_encoder`."""
    match wire_format:
        case "text-stream":
            return TextStreamEncoder(shaper)
        case "events":
            return EventsEncoder(shaper)
        case "data-stream":
            return DataStreamEncoder(shaper, dialect if dialect.major in LINE_MAJORS else NEWEST_LINES)
        case "ui-message-stream":
            return UIMessageStreamEncoder(shaper)
        case None if dialect.major in LINE_MAJORS:
            return DataStreamEncoder(shaper, dialect)
        case None if dialect.major < UI_MESSAGE_STREAM_SINCE:
            # AI SDK 2 shows all bytes as text.
            return TextStreamEncoder(shaper)
        case None:
            return UIMessageStreamEncoder(shaper)
        case _:
            assert_never(wire_format)
