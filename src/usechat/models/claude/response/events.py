"""Reads Anthropic's events as parts, without any I/O.

`AnthropicStream` takes the bytes of a Messages API stream as they arrive, or the events of the ``anthropic`` package,
and returns their parts. It knows no HTTP, no client version and no wire format of ours. Deltas are decoded into typed
msgspec structs, everything else into plain JSON. An unknown event, block, delta or key is skipped and logged at debug
level, so that a new feature of the API breaks no answer. Content of a known kind that cannot be read is an error.

The meaning is that of ``@ai-sdk/anthropic`` 4.0.105 (``anthropic-language-model.ts``, ``doStream``) and of
https://docs.anthropic.com/en/docs/build-with-claude/streaming.
"""

from __future__ import annotations

import logging
import secrets
import string
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from usechat.errors import ProviderError, ProviderStreamError
from usechat.json import decode_json
from usechat.models.claude.response.citations import CitationDocument, Citations
from usechat.models.claude.response.event_errors import is_error, stream_error, unreadable
from usechat.models.claude.response.finish import MessageEnd, as_object
from usechat.models.claude.response.open_blocks import OpenBlock, OpenToolInput
from usechat.models.claude.response.openers import OPENERS, Message, prefilled_tool_call
from usechat.models.claude.response.raw_events import DELTA_TYPES, ContentBlockDelta, as_json, decode_delta, is_json
from usechat.models.claude.response.results import ServerTools
from usechat.parts import (
    Custom,
    Error,
    FinishReason,
    ModelFinish,
    ModelPart,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolInputDelta,
)
from usechat.protocol.sse import SSEDecoder

__all__ = ["MASKED_ERROR_TEXT", "AnthropicStream"]

Json = dict[str, Any]

logger = logging.getLogger(__name__)

MASKED_ERROR_TEXT = "An error occurred."
"""The browser's text for a failure, unless the application gives another."""

_MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""Exceptions of reading an event that lacks a required field."""
_ANSWER_BLOCKS = {"redacted_thinking", "text", "thinking"}
"""Blocks of an answer. Any other block shows that the text before it was not the answer yet."""
_CONTINUATIONS = {"pause_turn", "tool_use"}
_CUTS = {"max_tokens", "model_context_window_exceeded", "refusal"}
"""Stop reasons of a message that may end in the middle of a block."""
_CONTENT_STARTS = {"content_block_start", "message_start"}
MAX_ERRORS = 10
"""The most errors of one answer that are told."""
_ID_LETTERS = string.ascii_letters + string.digits


def generate_source_id() -> str:
    """Return an id in the AI SDK's form for sources: 16 letters and digits."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(16))


class AnthropicStream:
    """Read one streamed answer.

    Feed it in order, then call `finish`, whose last part is the `ModelFinish`. Each `feed` returns the parts of its
    bytes at once, except text before a forced ``json`` tool call and a call that may be cut.

    Args:
        citation_documents: The documents of the request for which citations were enabled, in order.
        uses_json_tool: Whether the model was forced to answer through a tool named ``json``, whose input is the text.
        tool_names: The application's names of the provider's own tools, for instance
            ``{"web_search": "search"}``.
        dynamic_code_execution: Whether the request has web tools that may run code, but no tool that runs code.
        warnings: What was changed in the request, for the `ModelFinish`.
        generate_id: Makes the ids of sources.
    """

    __slots__ = (
        "_blocks",
        "_cut",
        "_end",
        "_error",
        "_errors",
        "_finish",
        "_has_output",
        "_is_broken",
        "_is_ending",
        "_is_open",
        "_message",
        "_passed_over",
        "_reader",
        "event_count",
        "headers",
        "warnings",
    )

    def __init__(
        self,
        *,
        citation_documents: Iterable[CitationDocument] = (),
        uses_json_tool: bool = False,
        tool_names: Mapping[str, str] | None = None,
        dynamic_code_execution: bool = False,
        warnings: tuple[str, ...] = (),
        generate_id: Callable[[], str] = generate_source_id,
    ) -> None:
        citations = Citations(citation_documents, generate_id)
        self._reader = SSEDecoder()
        self._message = Message(
            citations,
            ServerTools(tool_names or {}, citations),
            uses_json_tool=uses_json_tool,
            dynamic_code_execution=dynamic_code_execution,
        )
        self._end = MessageEnd()
        self._blocks: dict[int, OpenBlock] = {}
        self._passed_over: set[int] = set()
        """Indices of blocks that are skipped with their deltas."""
        self._cut: OpenToolInput | None = None
        """A call whose input may be cut off. The next event decides."""
        self._is_open = False
        self._is_broken = False
        self._is_ending = False
        self._has_output = False
        self._finish: ModelFinish | None = None
        self._error: ProviderError | None = None
        self._errors = 0
        self.event_count = 0
        """The number of events. None at the end means that the body was no event stream."""
        self.headers: tuple[tuple[bytes, bytes], ...] = ()
        """The response's headers, for the `ModelFinish`."""
        self.warnings = warnings

    @property
    def is_complete(self) -> bool:
        """Whether the message has ended, so that only the connection's end is missing."""
        return self._finish is not None

    def feed(self, data: bytes) -> list[ModelPart]:
        """Return the parts of the events that ``data`` completes."""
        return self._feed_payloads(self._reader.feed(data))

    def feed_event(self, event: object) -> list[ModelPart]:
        """Return the parts of a decoded event: a mapping, or an event object of the ``anthropic`` package."""
        parts: list[Any] = []
        try:
            delta = msgspec.convert(event, ContentBlockDelta, from_attributes=True)
        except msgspec.ValidationError:
            self._feed_object(as_json(event), parts)
        else:
            self.event_count += 1
            self._feed_delta(delta, parts)
        if not self._has_output:
            self._has_output = any(_is_output(part) for part in parts)
        return parts

    def fail(self, error: ProviderError) -> list[ModelPart]:
        """Return the last parts before a broken connection, and its error. `finish` still returns the last part."""
        parts: list[Any] = []
        self._settle_cut(parts)
        self._error = error
        return [*parts, Error(MASKED_ERROR_TEXT, error)]

    def finish(self) -> list[ModelPart]:
        """Return the remaining parts at the end of the stream. The last one is a `ModelFinish`.

        Without a ``message_stop`` the finish reason is ``error`` after an error, ``interrupted`` when there was output,
        and ``other`` otherwise. Open blocks stay open.
        """
        # A whole event without its blank line counts. Half an event is left by a cut.
        parts = self._feed_payloads([payload for payload in self._reader.finish() if is_json(payload)])
        self._settle_cut(parts)
        early = "interrupted" if self._has_output else "other"
        finish = self._finish or self._end.early_part("error" if self._error is not None else early)
        parts.append(msgspec.structs.replace(finish, headers=self.headers, warnings=self.warnings))
        return parts

    def _feed_payloads(self, payloads: Iterable[bytes]) -> list[ModelPart]:
        parts: list[Any] = []
        for payload in payloads:
            try:
                event = decode_delta(payload)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                self._feed_json(payload, parts)
                continue
            self.event_count += 1
            block = self._blocks.get(event.index)
            if block is None:
                self._pass_over(event.index, parts)
            else:
                block.feed(event.delta, parts)
        if not self._has_output:
            self._has_output = any(_is_output(part) for part in parts)
        return parts

    def _feed_json(self, payload: bytes, parts: list[Any]) -> None:
        try:
            event = decode_json(payload.decode("utf-8", "replace"))
        except ValueError:
            if payload != b"[DONE]":
                self.event_count += 1
                error = ProviderStreamError("an event is not JSON", provider="anthropic", code="invalid_json")
                self._report(error, parts)
            return
        self._feed_object(as_object(event), parts)

    def _feed_object(self, event: Json, parts: list[Any]) -> None:
        self.event_count += 1
        if self._is_broken:
            return
        try:
            self._dispatch(event, parts)
        except _MALFORMED as error:
            if event.get("type") in _CONTENT_STARTS:
                # The content would be lost without a word.
                self._report(unreadable(f"content cannot be read ({type(error).__name__}: {error})"), parts)
                if isinstance(index := event.get("index"), int):
                    self._passed_over.add(index)
                return
            logger.debug("passed over a malformed %s event", event.get("type"), exc_info=True)

    def _dispatch(self, event: Json, parts: list[Any]) -> None:
        match event.get("type"):
            case "content_block_delta":
                self._feed_untyped_delta(event, parts)
            case "content_block_start":
                self._start_block(event, parts)
            case "content_block_stop":
                self._stop_block(event, parts)
            case "message_start":
                self._start_message(as_object(event.get("message")), parts)
            case "message_delta":
                self._end.feed(event)
            case "message_stop":
                self._stop_message(parts)
            case "error":
                self._report(stream_error(event), parts)
            case "ping":
                pass
            case None if is_error(event):
                # The type is only in the name of the SSE event.
                self._report(stream_error(event), parts)
            case unknown:
                logger.debug("passed over an event of unknown type %r", unknown)

    def _feed_untyped_delta(self, event: Json, parts: list[Any]) -> None:
        try:
            delta = msgspec.convert(event, ContentBlockDelta)
        except msgspec.ValidationError as error:
            index = event.get("index")
            if as_object(event.get("delta")).get("type") not in DELTA_TYPES or index in self._passed_over:
                logger.debug("passed over a delta: %s", error)
                return
            # Part of the block is lost. A tool must not run with the rest of its input.
            if isinstance(index, int):
                self._blocks.pop(index, None)
                self._passed_over.add(index)
            self._report(unreadable(f"a delta cannot be read: {error}"), parts)
            return
        self._feed_delta(delta, parts)

    def _feed_delta(self, event: ContentBlockDelta, parts: list[Any]) -> None:
        block = self._blocks.get(event.index)
        if block is None:
            self._pass_over(event.index, parts)
        else:
            block.feed(event.delta, parts)

    def _pass_over(self, index: int, parts: list[Any]) -> None:
        """Pass over a delta of a block that is not open."""
        if index not in self._passed_over and not self._is_broken:
            self._passed_over.add(index)
            self._report(unreadable(f"a delta is for content block {index}, which is not open"), parts)

    def _start_block(self, event: Json, parts: list[Any]) -> None:
        self._settle_cut(parts)
        index, block = event["index"], event["content_block"]
        if (unended := self._blocks.pop(index, None)) is not None:
            self._close_block(unended, parts)
            self._settle_cut(parts)
        kind = block["type"]
        opener = OPENERS.get(kind)
        if kind not in _ANSWER_BLOCKS and kind != "fallback":
            self._message.held.clear()
        if opener is None:
            logger.debug("passed over a content block of unknown type %r", kind)
            self._passed_over.add(index)
            return
        opened = opener(str(index), block, self._message, parts)
        if opened is None:
            self._passed_over.add(index)
        else:
            self._blocks[index] = opened
            self._passed_over.discard(index)

    def _stop_block(self, event: Json, parts: list[Any]) -> None:
        block = self._blocks.pop(event["index"], None)
        if block is not None:
            self._close_block(block, parts)

    def _close_block(self, block: OpenBlock, parts: list[Any]) -> None:
        self._settle_cut(parts)
        if isinstance(block, OpenToolInput) and block.may_be_cut():
            self._cut = block
        else:
            block.close(parts)

    def _settle_cut(self, parts: list[Any]) -> None:
        # Only the last block of a message can be cut, and only when the message ended at a limit or in a refusal.
        block, self._cut = self._cut, None
        if block is not None:
            block.is_cut = self._is_ending and self._end.stop_reason in _CUTS
            block.close(parts)

    def _start_message(self, message: Json, parts: list[Any]) -> None:
        if self._is_open:
            if message.get("id") != self._end.response_id:
                self._break(message, parts)
            return
        self._is_open = True
        self._is_ending = False
        self._passed_over.clear()
        self._finish = None
        self._end.start(message)
        metadata = {"id": self._end.response_id, "model": self._end.model_id, "usage": self._end.raw_usage}
        parts.append(Custom("anthropic.message_start", {"anthropic": metadata}))
        for block in message.get("content") or ():
            if block.get("type") == "tool_use":
                prefilled_tool_call(block, parts)

    def _break(self, message: Json, parts: list[Any]) -> None:
        # Two answers in one stream cannot be separated, so the rest is not read.
        self._is_broken = True
        self._blocks.clear()
        text = f"message {message.get('id')!r} began while {self._end.response_id!r} was still open"
        self._report(ProviderStreamError(text, provider="anthropic", code="invalid_response"), parts)

    def _stop_message(self, parts: list[Any]) -> None:
        self._is_open = False
        self._is_ending = True
        # A block without its end is whole: the message has ended.
        for block in self._blocks.values():
            self._close_block(block, parts)
        self._blocks.clear()
        self._settle_cut(parts)
        shared = self._message
        parts.extend(shared.citations.closing_sources())
        if not shared.json_tool_called and self._end.stop_reason not in _CONTINUATIONS:
            for held in shared.held:
                parts.extend(held.release())
        shared.held.clear()
        self._finish = self._end.part(json_tool_called=shared.json_tool_called)

    def _report(self, error: ProviderStreamError, parts: list[Any]) -> None:
        self._settle_cut(parts)
        self._error = error
        if self._finish is not None:
            # What fails after the end of the message has failed all the same.
            failed = FinishReason("error", self._finish.finish_reason.raw)
            self._finish = msgspec.structs.replace(self._finish, finish_reason=failed)
        self._errors += 1
        # Whoever sends nothing but garbage would make as many errors as it sends events, each with a line in the log.
        if self._errors <= MAX_ERRORS:
            parts.append(Error(MASKED_ERROR_TEXT, error))


def _is_output(part: ModelPart) -> bool:
    match part:
        case TextDelta(delta=text) | ReasoningDelta(delta=text) | ToolInputDelta(delta=text):
            return bool(text)
        case ToolCall():
            return True
        case _:
            return False
