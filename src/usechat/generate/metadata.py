"""The message's metadata that one flag asks for: which model, when, at what cost, how fast.

    stream_text(model, messages=…, message_metadata=True)

Fields as the AI SDK's documentation names them in its examples (``docs/04-ai-sdk-ui/25-message-metadata.mdx``).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from usechat import parts as p
from usechat.generate.callbacks import MessageMetadataCallback

__all__ = ["default_metadata"]

BEFORE_CONTENT = (p.Start, p.StartStep, p.Custom, p.MessageMetadata, p.Data, p.FinishStep, p.Error)
"""Parts that come before the model has said anything."""


def default_metadata(
    model: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    wall_clock: Callable[[], float] = time.time,
) -> MessageMetadataCallback:
    """A callback for one answer.

    With the start: ``model`` and ``createdAt`` (milliseconds since 1970). With the finish: ``usage`` of all steps, in
    the shape of the client's AI SDK major; ``finishReason`` (AI SDK 7's word); ``durationMs``; ``timeToFirstTokenMs``,
    up to the first text, reasoning or tool call, where there was one.

    Args:
        model: The model's name, as the client is to see it.
        clock: Seconds of a clock that only runs forward.
        wall_clock: Seconds since 1970.
    """
    begun = clock()
    first: float | None = None

    def metadata(part: p.Part) -> dict[str, Any] | None:
        nonlocal begun, first
        match part:
            case p.Start():
                begun = clock()
                return {"model": model, "createdAt": round(wall_clock() * 1000)}
            case p.Finish():
                return {
                    "usage": part.total_usage,
                    "finishReason": part.finish_reason.unified,
                    "durationMs": round((clock() - begun) * 1000),
                    **({} if first is None else {"timeToFirstTokenMs": round((first - begun) * 1000)}),
                }
            case _ if first is None and not isinstance(part, BEFORE_CONTENT):
                first = clock()
                return None
            case _:
                return None

    return metadata
