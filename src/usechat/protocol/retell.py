"""Encodes the old parts of a continued UI message again, for a client that resumes.

An answer that continues a message (after a tool's output or an approval) streams only the new parts. Since 5.0.233,
6.0.250 and 7.0.61 ("Prevent `resumeStream` from copying the previous assistant message into the resumed response"), a
client that resumes begins with an empty message, so it must get the old parts too. Older clients continue the message
that they have. Messages are plain JSON of the client, so any value may be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from usechat.json import encode_json
from usechat.parts import (
    Custom,
    Data,
    File,
    FinishReason,
    FinishStep,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningFile,
    ReasoningStart,
    SourceDocument,
    SourceUrl,
    Start,
    StartStep,
    SteeringMessage,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolApprovalResponse,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
    Usage,
)
from usechat.protocol.dialects import Dialect, Version
from usechat.protocol.encoders.base import WireFormat
from usechat.protocol.encoders.choose import make_encoder

__all__ = ["answer_parts", "retell"]

UIPart: TypeAlias = Mapping[str, Any]

RESUMES_EMPTY: Final[Mapping[int, Version]] = {5: (5, 0, 233), 6: (6, 0, 250), 7: (7, 0, 61)}
"""The first client of each major that begins with an empty message when it resumes."""


def retell(message: UIPart, dialect: Dialect, wire_format: WireFormat | None) -> bytes:
    """Return the frames of a message's old parts, to send before those that continue it; empty when none are needed.

    Args:
        message: The assistant message, as posted by the client.
        dialect: The client's dialect. A guessed version counts as new: a new client without the old parts would end the
            chat with an error at the output of a call that it does not know. An old client that gets them only shows a
            text twice for a while.
        wire_format: The wire format that the client reads.
    """
    is_read = wire_format == "ui-message-stream" or (wire_format is None and dialect.major >= 5)
    first = RESUMES_EMPTY.get(dialect.major, dialect.version)
    if not is_read or (dialect.is_release and dialect.version < first):
        return b""
    return make_encoder(wire_format, dialect).feed_all(answer_parts(message, dialect))


def answer_parts(message: UIPart, dialect: Dialect) -> Iterator[Part]:
    """Yield the parts of an answer that makes the client's message, with all blocks closed."""
    accepts_decisions = dialect.accepts("tool-approval-response")
    yield Start(message_id=message.get("id"), message_metadata=message.get("metadata"))
    is_in_step = False
    for number, part in enumerate(message.get("parts", ())):
        if not accepts_decisions:
            part = without_decision(part)  # noqa: PLW2901 - the part as the dialect can hold it
        if part.get("type") == "step-start":
            if is_in_step:
                yield END_OF_STEP
            is_in_step = True
            yield StartStep()
        else:
            yield from make_parts(part, f"told-{number}")
    if is_in_step:
        yield END_OF_STEP


def without_decision(part: UIPart) -> UIPart:
    """Return the part without its decided approval: AI SDK 6 has no chunk for decisions and would show it as open."""
    approval: Any = part.get("approval")
    is_decided = isinstance(approval, Mapping) and "approved" in approval
    return {name: value for name, value in part.items() if name != "approval"} if is_decided else part


def make_parts(part: UIPart, block_id: str) -> list[Part]:
    """Return the parts for one part of the message; none when it lacks a key that every client sets."""
    kind = str(part.get("type"))
    by_kind = make_tool if kind.startswith("tool-") else make_data if kind.startswith("data-") else MAKERS.get(kind)
    try:
        return [] if by_kind is None else [*by_kind(part, block_id)]
    except (KeyError, TypeError, AttributeError):
        return []


END_OF_STEP: Final = FinishStep(finish_reason=FinishReason("other"), usage=Usage())


def make_text(part: UIPart, block_id: str) -> Iterator[Part]:
    metadata = part.get("providerMetadata")
    yield TextStart(block_id)
    yield TextDelta(block_id, part.get("text", ""))
    yield TextEnd(block_id, metadata)


def make_reasoning(part: UIPart, block_id: str) -> Iterator[Part]:
    block_id = part.get("id") or block_id
    yield ReasoningStart(block_id)
    yield ReasoningDelta(block_id, part.get("text", ""))
    yield ReasoningEnd(block_id, part.get("providerMetadata"))


def make_source_url(part: UIPart, _: str) -> Iterator[Part]:
    yield SourceUrl(
        source_id=part["sourceId"],
        url=part["url"],
        title=part.get("title"),
        provider_metadata=part.get("providerMetadata"),
    )


def make_source_document(part: UIPart, _: str) -> Iterator[Part]:
    yield SourceDocument(
        source_id=part["sourceId"],
        media_type=part["mediaType"],
        title=part["title"],
        filename=part.get("filename"),
        provider_metadata=part.get("providerMetadata"),
    )


def make_file(part: UIPart, _: str) -> Iterator[Part]:
    make = File if part["type"] == "file" else ReasoningFile
    yield make(media_type=part["mediaType"], url=part["url"], provider_metadata=part.get("providerMetadata"))


def make_custom(part: UIPart, _: str) -> Iterator[Part]:
    yield Custom(part["kind"], part.get("providerMetadata"))


def make_steering(part: UIPart, _: str) -> Iterator[Part]:
    yield SteeringMessage(id=part["id"], parts=tuple(part["parts"]))


def make_data(part: UIPart, _: str) -> Iterator[Part]:
    yield Data(name=part["type"].removeprefix("data-"), id=part.get("id"), data=part.get("data"))


def make_tool(part: UIPart, _: str) -> Iterator[Part]:
    kind: str = part["type"]
    call: dict[str, Any] = {
        "tool_call_id": part["toolCallId"],
        "tool_name": part.get("toolName") or kind.removeprefix("tool-"),
        "provider_executed": part.get("providerExecuted"),
        "dynamic": True if kind == "dynamic-tool" else None,
        "tool_metadata": part.get("toolMetadata"),
    }
    described: dict[str, Any] = {
        **call,
        "title": part.get("title"),
        "provider_metadata": part.get("callProviderMetadata"),
    }
    state = part.get("state")
    if state == "input-streaming":
        yield ToolInputStart(**described, input_encoding=part.get("inputEncoding"))
        raw = part.get("rawInput")
        if isinstance(raw, str):
            yield ToolInputDelta(call["tool_call_id"], raw)
        elif "input" in part:
            yield ToolInputDelta(call["tool_call_id"], encode_json(part["input"]).decode())
        return
    if state == "output-error" and "rawInput" in part:
        error = part.get("errorText", "")
        yield ToolInputError(**described, input=part["rawInput"], error_text=error, client_text=error)
        return
    yield ToolInputAvailable(**described, input=part.get("input"))
    yield from make_approval(part)
    yield from make_outcome(part, {**call, "provider_metadata": part.get("resultProviderMetadata")})


def make_approval(part: UIPart) -> Iterator[Part]:
    approval: UIPart | None = part.get("approval")
    if approval is None:
        return
    yield ToolApprovalRequest(
        approval_id=approval["id"],
        tool_call_id=part["toolCallId"],
        approval_descriptor=approval.get("descriptor"),
        input_schema_input=approval.get("inputSchemaInput"),
        reason=approval.get("requestReason"),
        is_automatic=approval.get("isAutomatic"),
        signature=approval.get("signature"),
    )
    if "approved" in approval:
        yield ToolApprovalResponse(
            approval_id=approval["id"], approved=approval["approved"], reason=approval.get("reason")
        )


def make_outcome(part: UIPart, call: dict[str, Any]) -> Iterator[Part]:
    match part.get("state"):
        case "output-available":
            preliminary = part.get("preliminary")
            yield ToolOutputAvailable(**call, output=part.get("output"), preliminary=preliminary)
        case "output-error":
            error = part.get("errorText", "")
            yield ToolOutputError(**call, error_text=error, client_text=error)
        case "output-denied":
            yield ToolOutputDenied(tool_call_id=part["toolCallId"], tool_name=call["tool_name"])
        case _:
            pass


MAKERS: Final[Mapping[str, Callable[[UIPart, str], Iterator[Part]]]] = {
    "text": make_text,
    "reasoning": make_reasoning,
    "source-url": make_source_url,
    "source-document": make_source_document,
    "file": make_file,
    "reasoning-file": make_file,
    "custom": make_custom,
    "steering-message": make_steering,
    "dynamic-tool": make_tool,
}
