"""Lost runs: from the frames of an answer whose process died, the message they make and a legal end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from usechat import parts as p
from usechat.errors import DecodeError
from usechat.fastapi import known_ids
from usechat.protocol.decoders import DataStreamDecoder, EventsDecoder, TextStreamDecoder, UIMessageStreamDecoder
from usechat.protocol.dialects import Dialect, Version
from usechat.protocol.encoders import EncoderOptions, WireFormat, make_encoder
from usechat.protocol.options import MASKED_ERROR
from usechat.protocol.reducer import Reducer

__all__ = ["LostRun", "end_lost_run", "read_ended_run"]


class LostRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a run's log holds of it beside the frames, for whoever has to end it."""

    turn_id: str
    wire_format: WireFormat | None
    version: Version
    is_exact: bool
    message_id: str | None

    @property
    def dialect(self) -> Dialect:
        """The reader's."""
        return Dialect(self.version, exact=self.is_exact)


def end_lost_run(
    lost: LostRun, frames: bytes, continued: Mapping[str, Any] | None
) -> tuple[dict[str, Any] | None, bytes]:
    """The message so far, None when there is none, and the frames that end the stream for its readers.

    Args:
        lost: What is known of the run.
        frames: All that was written.
        continued: The stored message that the answer went on with.
    """
    known: dict[str, Any] = known_ids(continued)
    options = EncoderOptions(**known)
    parts = read_parts(lost, frames)
    reducer = Reducer(lost.message_id or "", message=continued, dialect=lost.dialect, options=options)
    # The parts are encoded once more, for the encoder to know what is open; only its end is sent.
    encoder = make_encoder(lost.wire_format, lost.dialect, options)
    encoder.feed_all(parts)
    failure = p.Error(MASKED_ERROR)
    last_frames = encoder.feed(failure) + encoder.finish()
    reducer.feed_all([*parts, failure])
    reducer.finish()
    message = reducer.message()
    return (message if message["parts"] else None), last_frames


def read_ended_run(lost: LostRun, frames: bytes, continued: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The message of a run that came to its end; None when there is none. Arguments as for `end_lost_run`."""
    known: dict[str, Any] = known_ids(continued)
    reducer = Reducer(lost.message_id or "", message=continued, dialect=lost.dialect, options=EncoderOptions(**known))
    reducer.feed_all(read_parts(lost, frames))
    reducer.finish()
    message = reducer.message()
    return message if message["parts"] else None


def read_parts(lost: LostRun, frames: bytes) -> list[p.Part]:
    decoder = make_decoder(lost)
    try:
        return decoder.feed(frames)
    except DecodeError:
        # What is not ours cannot be read; the reader still gets its end.
        return []


def make_decoder(
    lost: LostRun,
) -> UIMessageStreamDecoder | DataStreamDecoder | TextStreamDecoder | EventsDecoder:
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
            return DataStreamDecoder() if lost.version[0] == 4 else UIMessageStreamDecoder()
