"""Encoders: write parts as the bytes of one wire format. Pure; each has its headers and its heartbeat."""

from usechat.protocol.encoders.base import Encoder, WireFormat
from usechat.protocol.encoders.choose import encode_for, make_encoder
from usechat.protocol.encoders.data_stream import DataStreamEncoder
from usechat.protocol.encoders.events import EventsEncoder
from usechat.protocol.encoders.text_stream import TextStreamEncoder
from usechat.protocol.encoders.ui_message_stream import UIMessageStreamEncoder
from usechat.protocol.options import EncoderOptions

__all__ = [
    "DataStreamEncoder",
    "Encoder",
    "EncoderOptions",
    "EventsEncoder",
    "TextStreamEncoder",
    "UIMessageStreamEncoder",
    "WireFormat",
    "encode_for",
    "make_encoder",
]
