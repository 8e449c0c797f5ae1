"""Decoders: parse the bytes of a wire format to parts, for tests, readers of a log and clients in Python."""

from usechat.protocol.decoders.data_stream import DataStreamDecoder
from usechat.protocol.decoders.plain import EventsDecoder, TextStreamDecoder
from usechat.protocol.decoders.ui_message_stream import UIMessageStreamDecoder

__all__ = ["DataStreamDecoder", "EventsDecoder", "TextStreamDecoder", "UIMessageStreamDecoder"]
