"""Decodes Anthropic's events as they arrive: deltas into typed structs, everything else into plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from usechat.json import decode_json
from usechat.models.claude.response.finish import as_object
from usechat.models.claude.response.open_blocks import BlockDelta

__all__ = ["DELTA_TYPES", "ContentBlockDelta", "as_json", "decode_delta", "is_json"]

DELTA_TYPES: Final = {
    "citations_delta",
    "compaction_delta",
    "input_json_delta",
    "signature_delta",
    "text_delta",
    "thinking_delta",
}


class ContentBlockDelta(msgspec.Struct, tag_field="type", tag="content_block_delta", gc=False):
    """A delta for the block with this index."""

    index: int
    delta: BlockDelta


decode_delta: Final = msgspec.json.Decoder(ContentBlockDelta).decode


def is_json(payload: bytes) -> bool:
    """Return whether the data of an event is whole JSON."""
    try:
        decode_json(payload.decode("utf-8", "replace"))
    except ValueError:
        return False
    return True


def as_json(event: object) -> dict[str, Any]:
    """Return an event object of the ``anthropic`` package, or a mapping, as plain JSON."""
    if isinstance(event, Mapping):
        return dict(cast("Mapping[str, Any]", event))
    dump = getattr(event, "model_dump", None)
    return as_object(dump(mode="json", exclude_unset=True, warnings=False)) if dump else {"type": type(event).__name__}
