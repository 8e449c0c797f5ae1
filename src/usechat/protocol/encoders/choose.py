"""One encoder for a wire format and a dialect."""

from __future__ import annotations

from typing import assert_never

from usechat.protocol.dialects import AUTO, LINE_MAJORS, NEWEST, UI_MESSAGE_STREAM_SINCE, Dialect
from usechat.protocol.encoders.base import Encoder, WireFormat
from usechat.protocol.encoders.data_stream import DataStreamEncoder
from usechat.protocol.encoders.events import EventsEncoder
from usechat.protocol.encoders.text_stream import TextStreamEncoder
from usechat.protocol.encoders.ui_message_stream import UIMessageStreamEncoder
from usechat.protocol.options import EncoderOptions

__all__ = ["make_encoder"]

NEWEST_LINES = Dialect(NEWEST[4], exact=True)


def make_encoder(
    wire_format: WireFormat | None = None, dialect: Dialect = AUTO, options: EncoderOptions | None = None
) -> Encoder:
    """The encoder for ``wire_format``; without one, the chat format of the dialect's major."""
    match wire_format:
        case "text-stream":
            return TextStreamEncoder()
        case "events":
            return EventsEncoder()
        case "data-stream":
            return DataStreamEncoder(options, dialect if dialect.major in LINE_MAJORS else NEWEST_LINES)
        case "ui-message-stream":
            return UIMessageStreamEncoder(dialect if dialect.major >= UI_MESSAGE_STREAM_SINCE else AUTO, options)
        case None if dialect.major in LINE_MAJORS:
            return DataStreamEncoder(options, dialect)
        case None if dialect.major < UI_MESSAGE_STREAM_SINCE:
            # AI SDK 2 shows whatever comes as text.
            return TextStreamEncoder()
        case None:
            return UIMessageStreamEncoder(dialect, options)
        case _:
            assert_never(wire_format)
