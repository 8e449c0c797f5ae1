"""Lost runs: makes the message and a legal end from the frames of an answer whose process died."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from usechat.chats.tree import EndStatus
from usechat.errors import DecodeError
from usechat.http.new_run import known_ids
from usechat.json import encode_json
from usechat.messages.ui import ChatRequest
from usechat.parts import Abort, Error, Finish, Part
from usechat.protocol.decoders import DataStreamDecoder, EventsDecoder, TextStreamDecoder, UIMessageStreamDecoder
from usechat.protocol.dialects import LINE_MAJORS, UI_MESSAGE_STREAM_SINCE, Dialect, Version
from usechat.protocol.encoders import EncoderOptions, WireFormat, make_encoder
from usechat.protocol.options import MASKED_ERROR
from usechat.protocol.reducer import Reducer

__all__ = ["Ending", "LostRun", "end_frames", "end_lost_run", "kept_fields", "make_decoder", "options_for"]

MAX_FIELD_BYTES = 16 * 2**10
"""The most bytes of a request's further fields that are kept with its run."""


class LostRun(msgspec.Struct, frozen=True, kw_only=True):
    """The data in a run's log for the process that has to end the run."""

    turn_id: str
    wire_format: WireFormat | None
    version: Version
    is_exact: bool
    message_id: str | None
    preamble_bytes: int = 0
    """Bytes of the frames that repeat the message which the answer continues."""
    answering: str | None = None
    """The name of what answers, for a process that goes on; None where none can."""
    fields: Mapping[str, Any] | None = None
    """The request's further fields, for it; None when they are not kept."""
    attempt: int = 0
    """How many processes have gone on with the run."""
    asker: str | None = None
    """What the application knows its request by, for a process that goes on."""

    @property
    def dialect(self) -> Dialect:
        """The reader's dialect."""
        return Dialect(self.version, exact=self.is_exact)


def kept_fields(request: ChatRequest) -> Mapping[str, Any] | None:
    """Return the further fields of a request, for a process that may have to go on; None when they are large."""
    fields = request.extra
    return fields if not fields or len(encode_json(fields)) <= MAX_FIELD_BYTES else None


class Ending(msgspec.Struct, frozen=True):
    """The end of a run whose process has died."""

    status: EndStatus
    message: dict[str, Any] | None
    """The assistant's message so far; None when there is none."""
    frames: bytes = b""
    """Frames that end the stream for its readers; empty when it has its end."""


def end_lost_run(lost: LostRun, frames: bytes, continued: Mapping[str, Any] | None) -> Ending:
    """Return the end of a run whose process died or could not save it.

    Args:
        lost: The data of the run.
        frames: All frames of the run.
        continued: The stored message that the answer continued.
    """
    parts, is_over = read_parts(lost, frames)
    failure = Error(MASKED_ERROR)
    ending = end_frames(lost, frames, continued, failure)
    if is_over or says_end(parts):
        return Ending(status_of(parts), read_message(lost, parts, continued), ending)
    return Ending("lost", read_message(lost, [*parts, failure], continued), ending)


def status_of(parts: Sequence[Part]) -> EndStatus:
    """Return the status that the parts of a whole stream tell."""
    for part in parts:
        match part:
            case Error():
                return "failed"
            case Abort():
                return "partial"
            case Finish(finish_reason=reason) if reason.unified == "interrupted":
                return "partial"
            case _:
                pass
    return "whole"


def end_frames(lost: LostRun, frames: bytes, continued: Mapping[str, Any] | None, last: Part) -> bytes:
    """Return frames that end a stream for readers who have ``frames``, with a last part that tells why.

    Empty when the readers have the end: such a run only waits to be saved.
    """
    parts, is_over = read_parts(lost, frames)
    if is_over:
        return b""
    # Encode the parts again, so that the encoder knows the open blocks. Only its end is sent.
    encoder = make_encoder(lost.wire_format, lost.dialect, options_for(continued))
    encoder.feed_all(parts)
    return (b"" if says_end(parts) else encoder.feed(last)) + encoder.finish()


def says_end(parts: Sequence[Part]) -> bool:
    """Return whether the parts are complete, though the stream's terminator may be missing."""
    return any(isinstance(part, Finish | Abort) for part in parts)


def read_message(lost: LostRun, parts: Sequence[Part], continued: Mapping[str, Any] | None) -> dict[str, Any] | None:
    options = options_for(continued)
    reducer = Reducer(lost.message_id or "", message=continued, dialect=lost.dialect, options=options)
    reducer.feed_all(parts)
    reducer.finish()
    message = reducer.message()
    return message if message["parts"] else None


def options_for(continued: Mapping[str, Any] | None) -> EncoderOptions:
    """Return the options for frames that go on with a stored message."""
    known: dict[str, Any] = known_ids(continued)
    return EncoderOptions(**known)


def read_parts(lost: LostRun, frames: bytes) -> tuple[list[Part], bool]:
    """Return the parts and whether they are complete."""
    decoder = make_decoder(lost)
    try:
        parts = decoder.feed(frames[lost.preamble_bytes :])
    except DecodeError:
        # Foreign frames cannot be read. The reader still gets an end.
        return [], False
    if isinstance(decoder, UIMessageStreamDecoder):
        return parts, decoder.is_done
    # A text stream has no end of its own.
    return parts, any(isinstance(part, Finish) for part in parts)


def make_decoder(
    lost: LostRun,
) -> UIMessageStreamDecoder | DataStreamDecoder | TextStreamDecoder | EventsDecoder:
    """Return a decoder of a run's frames."""
    match lost.wire_format:
        case "text-stream":
            return TextStreamDecoder()
        case "events":
            return EventsDecoder()
        case "data-stream":
            return DataStreamDecoder()
        case "ui-message-stream":
            return UIMessageStreamDecoder()
        case None:
            return make_chat_decoder(lost.dialect)


def make_chat_decoder(dialect: Dialect) -> UIMessageStreamDecoder | DataStreamDecoder | TextStreamDecoder:
    if dialect.major >= UI_MESSAGE_STREAM_SINCE:
        return UIMessageStreamDecoder()
    return DataStreamDecoder() if dialect.major in LINE_MAJORS else TextStreamDecoder()
