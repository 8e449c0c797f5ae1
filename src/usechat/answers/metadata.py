"""The metadata of a message, and that of ``message_metadata=True``: model, times, usage and speed.

    stream_text(model, messages=…, message_metadata=True)

Fields as the AI SDK's documentation names them in its examples (``docs/04-ai-sdk-ui/25-message-metadata.mdx``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

from msgspec.structs import replace

from usechat.answers.callbacks import MessageMetadataCallback
from usechat.answers.writer.valid_parts import why_no_json
from usechat.guard import Contained
from usechat.parts import (
    Custom,
    Data,
    Error,
    Finish,
    FinishStep,
    MessageMetadata,
    Part,
    ReasoningDelta,
    Start,
    StartStep,
    TextDelta,
    ToolInputDelta,
    Usage,
)
from usechat.protocol.usage import parse_count, parse_usage

__all__ = ["DefaultMetadata", "add_metadata"]

logger = logging.getLogger(__name__)

DELTAS: frozenset[type] = frozenset({TextDelta, ReasoningDelta, ToolInputDelta})
"""Parts that no callback for metadata is asked about."""
BEFORE_CONTENT = (Start, StartStep, Custom, MessageMetadata, Data, FinishStep, Error)
"""Parts that come before the model's first content."""


def add_metadata(batch: list[Part], ask: MessageMetadataCallback) -> list[Part]:
    """Return a batch with the metadata of the application's callback."""
    # Nearly all parts are deltas, which the callback is not asked about.
    if DELTAS.issuperset(map(type, batch)):
        return batch
    told = ask.parts if isinstance(ask, DefaultMetadata) else (object,)
    shown: list[Part] = []
    for part in batch:
        shown.append(part)
        if type(part) in DELTAS or not isinstance(part, told):
            continue
        metadata = _metadata_of(part, ask)
        if metadata is None:
            continue
        if isinstance(part, Start | Finish):
            shown[-1] = replace(part, message_metadata=metadata)
        else:
            shown.append(MessageMetadata(metadata))
    return shown


def _metadata_of(part: Part, ask: MessageMetadataCallback) -> Any:
    try:
        with Contained():
            metadata = ask(part)
    except Exception:
        logger.exception("message_metadata failed")
        return None
    if (why := why_no_json(metadata)) is not None:
        logger.error("what message_metadata returned is left out: it %s", why)
        return None
    return metadata


class DefaultMetadata:
    """A `MessageMetadataCallback` for one answer.

    With the start: ``model`` and ``createdAt`` (milliseconds since 1970). With the finish: ``usage`` of all steps, in
    the shape of the client's AI SDK major; ``finishReason`` (AI SDK 7's word); ``durationMs``; ``timeToFirstTokenMs``,
    up to the first text, reasoning or tool call, where there was one. All of them are the whole message's, also where
    it was made in several requests.

    Args:
        model: The model's name, as the client is to see it.
        clock: Seconds of a clock that only runs forward.
        wall_clock: Seconds since 1970.
    """

    __slots__ = ("begun", "clock", "earlier", "first", "model", "wall_clock")
    parts: ClassVar[tuple[type, ...]] = (object,)
    """The parts that it has something to say about: it is not asked about others."""

    def __init__(
        self,
        model: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.model = model
        self.clock = clock
        self.wall_clock = wall_clock
        self.begun = clock()
        self.first: float | None = None
        self.earlier: Mapping[str, Any] = {}
        """The metadata of the continued message."""

    def continue_message(self, metadata: Any) -> None:
        """Add to the counts in the continued message's metadata."""
        self.earlier = cast("Mapping[str, Any]", metadata) if isinstance(metadata, Mapping) else {}

    def __call__(self, part: Part) -> dict[str, Any] | None:
        """Return the metadata that a part adds; None for nothing."""
        match part:
            case Start():
                self.begun = self.clock()
                is_known = parse_count(self.earlier.get("createdAt")) is not None
                return {"model": self.model, **({} if is_known else {"createdAt": round(self.wall_clock() * 1000)})}
            case Finish():
                return self.at_finish(part)
            case _ if self.first is None and not isinstance(part, BEFORE_CONTENT):
                self.first = self.clock()
                return None
            case _:
                return None

    def at_finish(self, part: Finish) -> dict[str, Any]:
        """Return the metadata that the end of the answer adds."""
        duration = round((self.clock() - self.begun) * 1000)
        told: dict[str, Any] = {
            "usage": self.usage(part),
            "finishReason": part.finish_reason.unified,
            "durationMs": duration + (parse_count(self.earlier.get("durationMs")) or 0),
        }
        if self.first is not None and parse_count(self.earlier.get("timeToFirstTokenMs")) is None:
            told["timeToFirstTokenMs"] = round((self.first - self.begun) * 1000)
        return told

    def usage(self, part: Finish) -> Usage:
        """Return the usage of all steps of the message."""
        return parse_usage(self.earlier.get("usage")) + part.total_usage
