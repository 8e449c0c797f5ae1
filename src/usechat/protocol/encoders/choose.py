"""One encoder for a wire format and a dialect."""

from __future__ import annotations

from typing import assert_never

from usechat.protocol.dialects import AUTO, Dialect
from usechat.protocol.encoders.base import Encoder, WireFormat
from usechat.protocol.encoders.data_stream import DataStreamEncoder
from usechat.protocol.encoders.events import EventsEncoder
from usechat.protocol.encoders.text_stream import TextStreamEncoder
from usechat.protocol.encoders.ui_message_stream import UIMessageStreamEncoder
from usechat.protocol.options import EncoderOptions
from usechat.protocol.shaping import ChunkShaper, chunk_dialect

__all__ = ["choose_encoder", "make_encoder"]


def make_encoder(
    wire_format: WireFormat | None = None, dialect: Dialect = AUTO, options: EncoderOptions | None = None
) -> Encoder:
    """Return an encoder for ``wire_format``; without one, for the chat format of the dialect's major."""
    shaper = ChunkShaper(chunk_dialect(dialect, wire_format), options or EncoderOptions())
    return choose_encoder(wire_format, dialect)(shaper)


def choose_encoder(wire_format: WireFormat | None, dialect: Dialect) -> type[Encoder]:
    """Return the kind of encoder for ``wire_format``; without one, for the chat format of the dialect's major."""
    match wire_format:
        case "text-stream":
            return TextStreamEncoder
        case "events":
            return EventsEncoder
        case "data-stream":
            return DataStreamEncoder
        case "ui-message-stream":
            return UIMessageStreamEncoder
        case None:
            return DataStreamEncoder if dialect.major == 4 else UIMessageStreamEncoder
        case _:
            assert_never(wire_format)
