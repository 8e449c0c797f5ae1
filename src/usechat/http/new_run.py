"""Begins the run that answers a request.

A run begins in a pipe to its only reader, in the log of a `RunService`, or as the caller begins it (`BeginRun`: a saved
chat is held for the time of the run).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

import msgspec
from starlette.datastructures import Headers

from usechat.apart import work_apart
from usechat.errors import RequestError
from usechat.guard import Contained, describe_outage, traceback_of
from usechat.http.frames import FrameLog, FrameWriter
from usechat.http.negotiation import negotiate
from usechat.http.response import HEARTBEAT_SECONDS, RunHead, StreamingAnswer
from usechat.ids import generate_id
from usechat.messages import ui
from usechat.parts import Error, Part
from usechat.protocol.dialects import Dialect
from usechat.protocol.encoders import Encoder, EncoderOptions, WireFormat, encode_for
from usechat.protocol.retell import retell
from usechat.protocol.shaping import ChunkShaper, Shaped
from usechat.runs.pipe import OnlyReader
from usechat.runs.reader import LogReader, RunReader
from usechat.runs.service import RunService

__all__ = ["AnswerToSend", "BeginRun", "NewRun", "RunPlan", "known_ids", "respond"]

logger = logging.getLogger(__name__)

USUAL_OPTIONS: Final = EncoderOptions()


class AnswerOutput(Protocol):
    """Takes an answer while it is made; see `usechat.answers.loop.outputs.Output`.

    Implemented by: `usechat.http.frames.FrameWriter`.
    """

    def begin(self) -> None:
        """Begin the answer."""
        ...

    def write(self, parts: list[Part], shaped: Sequence[Shaped]) -> None:
        """Write one batch."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether the answer must wait."""
        ...

    async def room(self) -> None:
        """Wait while it is full."""
        ...

    def end(self, parts: list[Part], shaped: Sequence[Shaped], failure: BaseException | None) -> None:
        """Write the end."""
        ...


class AnswerToSend(Protocol):
    """An answer to send: the part of `usechat.answers.answer.Answer` that this package knows.

    Implemented by: `usechat.answers.answer.Answer`.
    """

    message_id: str | None
    chat_id: str | None
    shaper: ChunkShaper
    keeps_messages: bool

    async def prepare_apart(self) -> None:
        """Prepare a large request in a thread."""
        ...

    def prepare(self) -> None:
        """Check everything that can be checked before anything is sent."""
        ...

    def keep_messages(self, messages: Sequence[ui.UIMessage | Mapping[str, Any]]) -> None:
        """Keep the request's messages for ``on_finish``."""
        ...

    def bind(
        self,
        dialect: Dialect,
        options: EncoderOptions,
        *,
        message: Mapping[str, Any] | None = None,
        message_id: str | None = None,
        wire_format: WireFormat | None = None,
    ) -> None:
        """Fit the answer to the client that reads it."""
        ...

    def drive(self, output: AnswerOutput) -> Coroutine[Any, Any, None]:
        """Begin the answer. Return the coroutine that makes it: run it in a task."""
        ...

    def error_part(self, error: BaseException) -> Error:
        """Return the part that tells the client about an error."""
        ...

    def abort(self, reason: str | None = None) -> None:
        """Stop the answer."""
        ...

    async def aclose(self) -> None:
        """Stop a running answer and wait until its callbacks were called."""
        ...


class RunPlan(msgspec.Struct, frozen=True):
    """A run to begin in a log."""

    make: Callable[[FrameLog], Coroutine[Any, Any, None]]
    """Makes the run: writes its frames to the log, to their legal end."""
    abort: Callable[[str | None], None]
    """Ends ``make`` early, with a reason."""
    headers: Mapping[str, str]
    """The response's headers, for later readers."""
    preamble: bytes
    """Frames for later readers to read first: the message so far, when the answer continues one. The first reader skips
    them."""
    dialect: Dialect
    wire_format: WireFormat | None
    message_id: str | None


BeginRun: TypeAlias = Callable[[RunPlan], Awaitable[str]]
"""Begins a planned run and returns its id. Its `RequestError`, `RunError` or `ChatError` refuses the request."""


class NewRun:
    """A run that begins with its response; a `usechat.http.response.RunSource`.

    Args:
        answer: The answer, not begun.
        chat: The request it answers.
        runs: The service that keeps the run; None for a run that only this response reads.
        begin: Begins the run there.
        continued: The assistant's message that the answer continues.
        wire_format: As for `respond`; so are the others.
        sdk: The client's version.
        message_id: The new message's id.
        breaks_on_error: Whether the status or a broken connection tells a failure that frames cannot.
        options: The encoder's options.
    """

    def __init__(
        self,
        answer: AnswerToSend,
        chat: ui.ChatRequest | None,
        runs: RunService | None,
        begin: BeginRun | None,
        *,
        continued: Mapping[str, Any] | None,
        wire_format: WireFormat | None,
        sdk: str | int | None,
        message_id: str | Callable[[], str] | bool | None,
        breaks_on_error: bool,
        options: Mapping[str, Any],
    ) -> None:
        self.answer = answer
        self.chat = chat
        self.runs = runs
        self.begin_in_log = begin
        self.continued = continued
        self.wire_format: WireFormat | None = wire_format
        self.sdk = sdk
        self.message_id = message_id
        self.breaks_on_error = breaks_on_error
        known: dict[str, Any] = known_ids(continued)
        self.options = EncoderOptions(**options, **known) if options or known else USUAL_OPTIONS
        self.dialect: Dialect | None = None
        """The client's, where it is known; otherwise the request tells it."""
        self.fitted: tuple[Dialect, Encoder] | None = None

    async def prepare(self, request: Headers) -> RunHead:
        """Fit the answer to the client."""
        await self.answer.prepare_apart()
        dialect = self.dialect or negotiate(self.chat, request, self.sdk)
        if self.chat is not None and self.answer.keeps_messages:
            self.answer.keep_messages(self.chat.posted)
        # Freed, because it may hold the whole conversation.
        self.chat = None
        self.answer.bind(
            dialect,
            self.options,
            message=self.continued,
            message_id=self._choose_message_id(),
            wire_format=self.wire_format,
        )
        self.answer.prepare()
        encoder = encode_for(self.wire_format, dialect, self.answer.shaper)
        self.fitted = dialect, encoder
        self.breaks_on_error = self.breaks_on_error and not encoder.tells_errors
        return RunHead(headers=encoder.headers, heartbeat=encoder.heartbeat, breaks_on_error=self.breaks_on_error)

    async def begin(self, headers: Mapping[str, str]) -> RunReader:
        """Begin the run and return its first reader."""
        assert self.fitted is not None
        (dialect, encoder), begin, continued = self.fitted, self.begin_in_log, self.continued
        # Freed, because they may hold the whole conversation and this object lives as long as the response.
        self.fitted = self.begin_in_log = self.continued = None
        make = partial(write_answer, self.answer, encoder, self.breaks_on_error)
        if self.runs is None or begin is None:
            return OnlyReader(make, self.answer.abort, self.answer.aclose)
        preamble = b""
        if continued is not None:
            preamble = await work_apart(partial(retell, continued, dialect, self.wire_format))
        plan = RunPlan(
            make=make,
            abort=self.answer.abort,
            headers=headers,
            preamble=preamble,
            dialect=dialect,
            wire_format=self.wire_format,
            message_id=self.answer.message_id,
        )
        beginning = asyncio.create_task(begin_contained(begin, plan))
        try:
            run_id = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            # The reader has gone. A run that is half begun would leave its chat busy.
            beginning.add_done_callback(tell_failure)
            await asyncio.wait({beginning})
            raise
        return LogReader(self.runs, run_id, 1 if preamble else 0, breaks_on_error=self.breaks_on_error)

    def abort(self, reason: str) -> None:
        """End the answer at once."""
        self.answer.abort(reason)

    def _choose_message_id(self) -> str | None:
        """Return the id to announce. A continuation must not get a new one: the client would show a second message."""
        if self.message_id is None or self.message_id is False:
            return None
        if self.continued is not None:
            return self.continued.get("id")
        if self.message_id is True:
            return generate_id("msg", 16)
        return self.message_id() if callable(self.message_id) else self.message_id


def respond(
    answer: AnswerToSend,
    chat: ui.ChatRequest | ui.CompletionRequest | None = None,
    *,
    runs: RunService | None = None,
    chat_id: str | None = None,
    begin: BeginRun | None = None,
    continued: Mapping[str, Any] | None = None,
    wire_format: WireFormat | None = None,
    sdk: str | int | None = None,
    message_id: str | Callable[[], str] | bool | None = None,
    headers: Mapping[str, str | None] | None = None,
    heartbeat: float | None = HEARTBEAT_SECONDS,
    breaks_on_error: bool = True,
    **options: Any,
) -> StreamingAnswer:
    """Return the response that makes an answer and sends it in the protocol of whoever asked.

    Args:
        answer: Made by `stream_text` or `ui_message_stream`.
        chat: The request. It tells the client's version and the continued message.
        runs: Keeps the answer, so that it continues without its reader and can be read again
            (`usechat.http.resume.replay`). Without it the answer ends when its reader leaves.
        chat_id: The chat under which ``runs`` keeps it; the request's own by default.
        begin: Begins the run, in place of ``runs.start``.
        continued: The assistant's message that the answer goes on with; the request's own by default.
        wire_format: ``ui-message-stream``, ``data-stream``, ``text-stream`` or ``events``; without it, the chat
            format of the client's version.
        sdk: The client's AI SDK version: a release (``6.0.100``), or a major or minor (``7``, ``3.4``) for what every
            release of it accepts; ``auto`` or None to tell it from the request.
        message_id: The new message's id, or a function that makes one; True for a random one, which is the default
            with ``runs``: a reader that comes back may hold the message. Otherwise the client keeps the id it made.
        headers: Beside the format's own; None as a value takes one of those away.
        heartbeat: Seconds of silence after which a frame is sent that clients ignore; None for no such frame.
        breaks_on_error: A text stream cannot tell a failure. True: a failed one gets an error status or, after its
            first byte, a broken connection. False: it looks like a finished one, as with the AI SDK.
        options: The fields of `EncoderOptions`: ``send_reasoning``, ``send_sources``, ``send_usage`` and so on.
    """
    request = chat if isinstance(chat, ui.ChatRequest) else None
    chat_id = answer.chat_id = chat_id or (request.id if request is not None else None)
    if runs is not None:
        begin = begin or partial(begin_run, runs, chat_id or "")
        message_id = True if message_id is None else message_id
    source = NewRun(
        answer,
        request,
        runs,
        begin,
        continued=continued_message(request) if continued is None else continued,
        wire_format=wire_format,
        sdk=sdk,
        message_id=message_id,
        breaks_on_error=breaks_on_error,
        options=options,
    )
    return StreamingAnswer(source, headers=headers, heartbeat=heartbeat)


def write_answer(
    answer: AnswerToSend, encoder: Encoder, breaks_on_error: bool, log: FrameLog
) -> Coroutine[Any, Any, None]:
    """Begin an answer. Return the coroutine that makes it and writes its frames to a log."""
    return answer.drive(FrameWriter(encoder, log, answer.error_part, breaks_on_error=breaks_on_error))


def tell_failure(beginning: asyncio.Task[str]) -> None:
    """Tell the log that an answer did not begin which nobody waits for any more."""
    if not beginning.cancelled() and (error := beginning.exception()) is not None:
        trace = traceback_of(error)
        logger.warning("an answer did not begin; its reader has gone: %s", describe_outage(error), exc_info=trace)


async def begin_contained(begin: BeginRun, plan: RunPlan) -> str:
    # A store and a log may be the application's.
    with Contained():
        return await begin(plan)


async def begin_run(runs: RunService, chat_id: str, plan: RunPlan) -> str:
    """Begin a run in the log and return its id.

    Raises:
        RequestError: The request names no chat.
        RunError: Another answer to the chat is running, or the log cannot be reached.
    """
    if not chat_id:
        raise RequestError("is missing", path="id")
    handle = await runs.start(chat_id, plan.make, abort=plan.abort, headers=plan.headers, preamble=plan.preamble)
    return handle.info.id


def continued_message(chat: ui.ChatRequest | None) -> Mapping[str, Any] | None:
    """Return the last message when it is the assistant's and the answer continues it."""
    if chat is None or not chat.is_continuation:
        return None
    return chat.posted[-1].to_json()


def known_ids(message: Mapping[str, Any] | None) -> dict[str, frozenset[str]]:
    """Return the tool calls and approval requests of the continued message, which later parts may refer to."""
    if message is None:
        return {}
    parts: list[Mapping[str, Any]] = list(message.get("parts", ()))
    none: Mapping[str, Any] = {}
    calls = (part.get("toolCallId") for part in parts)
    approvals = ((part.get("approval") or none).get("id") for part in parts)
    return {
        "known_tool_calls": frozenset(call for call in calls if isinstance(call, str)),
        "known_approvals": frozenset(approval for approval in approvals if isinstance(approval, str)),
    }
