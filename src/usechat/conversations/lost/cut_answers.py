"""Reads an answer whose process died in the middle of it: what there is, and how its open ends are closed.

A text that is open is ended where the log ends: its reader has seen it. What comes then is another step of the same
message. Calls that had begun stay open, for the answer that goes on: it knows the tools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from usechat.chats.merge import ClientTools
from usechat.conversations.lost.runs import LostRun, make_decoder, options_for
from usechat.errors import DecodeError
from usechat.messages.call_words import INTERRUPTED, NOT_CARRIED_OUT
from usechat.messages.ui import is_tool_part, tool_name
from usechat.parts import (
    Abort,
    Data,
    Error,
    Finish,
    FinishReason,
    FinishStep,
    MessageMetadata,
    Part,
    ReasoningEnd,
    Start,
    TextEnd,
    ToolOutputError,
    Usage,
)
from usechat.protocol.decoders import DataStreamDecoder, UIMessageStreamDecoder
from usechat.protocol.encoders import make_encoder
from usechat.protocol.reducer import Reducer
from usechat.protocol.shaping import ChunkShaper

__all__ = ["CutAnswer", "read_cut_answer"]

ENDS: Final = {"text": TextEnd, "reasoning": ReasoningEnd}
CUT_STEP: Final = FinishStep(finish_reason=FinishReason("other"), usage=Usage())


class CutAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer up to where its process died."""

    message: dict[str, Any] | None
    """The message so far; None when there is nothing of it."""
    frames: bytes
    """Frames that end its open blocks and its step."""
    shaper: ChunkShaper
    """Has shaped all of it."""
    is_started: bool
    """Whether its readers have the start of the message."""
    lost_calls: frozenset[str]
    """The ids of the calls that may have begun and have no outcome."""


def read_cut_answer(
    lost: LostRun, frames: bytes, continued: Mapping[str, Any] | None, is_client_tool: ClientTools | None
) -> CutAnswer | None:
    """Return what there is of an answer. None when it has its end, waits for its user, or cannot be read.

    Args:
        lost: The data of its run.
        frames: All frames of its run.
        continued: The stored message that the answer continued.
        is_client_tool: Tells which tools the client runs; None when that is not known.
    """
    parts = read_whole(lost, frames)
    if parts is None or has_end(parts):
        return None
    encoder = make_encoder(lost.wire_format, lost.dialect, options_for(continued))
    shaper = encoder.shaper
    reducer = Reducer(lost.message_id or "", message=continued, shaper=shaper)

    def feed(fed: Sequence[Part]) -> bytes:
        shaped = shaper.feed_all(fed)
        reducer.apply_all(shaped)
        return encoder.encode(shaped)

    feed(parts)
    shown: Sequence[Mapping[str, Any]] = reducer.message()["parts"]
    if is_said(parts, shown):
        return None
    calls = undone_calls(parts, shown)
    if any(waits_for_user(part, is_client_tool) for part in calls):
        return None
    ends = feed(closing_parts(shaper, shown, calls))
    message = reducer.message()
    return CutAnswer(
        message=message if message["parts"] or message.get("metadata") is not None else None,
        frames=ends,
        shaper=shaper,
        is_started=any(isinstance(part, Start) for part in parts),
        lost_calls=frozenset(part["toolCallId"] for part in calls if maybe_failure(part) is None),
    )


def closing_parts(
    shaper: ChunkShaper, shown: Sequence[Mapping[str, Any]], calls: Sequence[Mapping[str, Any]]
) -> list[Part]:
    """Return the parts that end the open blocks, the calls that never began, and the step."""
    closing: list[Part] = [ENDS[kind](block) for kind, block in shaper.lifecycle.open_blocks]
    closing += [failure for part in calls if (failure := maybe_failure(part)) is not None]
    if any(part["type"] == "step-start" for part in shown) and shaper.lifecycle.is_in_step:
        closing.append(CUT_STEP)
    return closing


def read_whole(lost: LostRun, frames: bytes) -> list[Part] | None:
    """Return the parts; None when the format does not tell them all."""
    decoder = make_decoder(lost)
    if not isinstance(decoder, UIMessageStreamDecoder | DataStreamDecoder):
        return None
    try:
        return decoder.feed(frames[lost.preamble_bytes :])
    except DecodeError:
        return None


def has_end(parts: Sequence[Part]) -> bool:
    """Return whether the readers were told how the answer ended."""
    return any(isinstance(part, Finish | Abort | Error) for part in parts)


def is_said(parts: Sequence[Part], shown: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the last step is over and has no call after which the model goes on."""
    told = [part for part in parts if not isinstance(part, Data | MessageMetadata)]
    if not told or not isinstance(told[-1], FinishStep):
        return False
    starts = [at for at, part in enumerate(shown) if part["type"] == "step-start"]
    step = shown[starts[-1] :] if starts else shown
    return not any(is_tool_part(part) and not part.get("providerExecuted") for part in step)


def undone_calls(parts: Sequence[Part], shown: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the tool parts whose calls have no outcome yet."""
    made_here = {getattr(part, "tool_call_id", None) for part in parts}
    return [part for part in shown if is_tool_part(part) and is_undone(part, made_here)]


def is_undone(part: Mapping[str, Any], made_here: set[Any]) -> bool:
    """Return whether a call has no outcome, and is of this answer or was approved for it."""
    state = part.get("state")
    if state == "approval-responded":
        return part["approval"].get("approved") is True
    is_open = state in ("input-streaming", "input-available", "approval-requested")
    return (is_open or part.get("preliminary") is True) and part["toolCallId"] in made_here


def waits_for_user(part: Mapping[str, Any], is_client_tool: ClientTools | None) -> bool:
    if part["state"] == "approval-requested":
        return True
    is_clients = is_client_tool is not None and is_client_tool(tool_name(part))
    return part["state"] == "input-available" and is_clients


def maybe_failure(part: Mapping[str, Any]) -> ToolOutputError | None:
    """Return the end of a call that never began, or that its provider ran."""
    is_providers = part.get("providerExecuted") is True
    if part["state"] != "input-streaming" and not is_providers:
        return None
    text = NOT_CARRIED_OUT if part["state"] == "input-streaming" else INTERRUPTED
    return ToolOutputError(
        tool_call_id=part["toolCallId"],
        tool_name=tool_name(part),
        error_text=text,
        client_text=text,
        provider_executed=is_providers or None,
        dynamic=part["type"] == "dynamic-tool" or None,
    )
