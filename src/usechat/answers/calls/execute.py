"""Run tools: in parallel, each with its time limit, cancelled with the answer.

A plain function runs on a thread. The values of a generator are preliminary outputs; the last one is the result. Each
call ends in an output or an error, and the model gets it. When the answer is stopped, a tool that ends within
`GRACE_SECONDS` has its outcome all the same; that of a slower one is unknown. Knows no approvals and no model.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from typing import Any, TypeAlias, cast

import anyio.to_thread
import msgspec
from pydantic_core import PydanticSerializationError, to_jsonable_python

from usechat.answers.calls.events import ToolEndEvent, ToolStartEvent
from usechat.answers.calls.iterate import as_generator, iterate_on_thread
from usechat.answers.observing import UNOBSERVED, NoteOutput
from usechat.answers.writer.data_parts import NOT_GIVEN, data_part
from usechat.answers.writer.part_queue import PartQueue
from usechat.answers.writer.valid_parts import maybe_valid_part
from usechat.errors import ApplicationError, ToolError, ToolExecutionError
from usechat.guard import Contained, describe_error, original_error
from usechat.json import MAX_VALUE_DEPTH, to_json_value
from usechat.messages.call_words import INTERRUPTED
from usechat.messages.dicts.ai_sdk import read_tool_output
from usechat.messages.model import ToolResultContent, ToolResultOutput
from usechat.parts import Part, ProviderMetadata, ToolOutputAvailable, ToolOutputError
from usechat.tools.tool import Tool, ToolContext, ToolWriter
from usechat.unsafe_keys import find_unsafe_key

__all__ = ["Execution", "InterruptedToolError", "MakeContext", "TellOfTool", "ToolOutcomes", "ToolRunner", "error_text"]

logger = logging.getLogger(__name__)

MakeContext: TypeAlias = Callable[[str, str, ToolWriter], ToolContext]
"""Makes the context of a call from the call's id, the tool's name and the writer for the tool's own parts."""

TellOfTool: TypeAlias = Callable[[str, Any], Awaitable[None]]
"""Calls one of the application's callbacks, by its name, with an event."""

GRACE_SECONDS = 1.0
"""Seconds that a cancelled tool may take to end. A slower one is left running, and its outcome is not read."""


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that is ready to run."""

    tool: Tool
    tool_call_id: str
    arguments: Any
    """The checked input in the form that the function takes."""
    dynamic: bool | None = None
    provider_metadata: ProviderMetadata | None = None
    """The call's metadata. Its output repeats them."""


class ToolOutcomes(msgspec.Struct, frozen=True):
    """The outcomes of the calls of one step so far. It grows while they run."""

    results: dict[str, ToolResultContent] = {}
    """The results for the model, by call id."""
    begun: set[str] = set()
    """The calls whose function was called."""
    late: list[Part] = []
    """Parts that came after the last batch was read, because the answer was stopped."""


class InterruptedToolError(ToolExecutionError):
    """The tool had begun, and its outcome is unknown."""


def interrupted(execution: Execution, why: str = "") -> InterruptedToolError:
    name, call_id = execution.tool.name, execution.tool_call_id
    return InterruptedToolError(f"{why}{INTERRUPTED}", tool_name=name, tool_call_id=call_id)


def error_text(error: BaseException) -> str:
    """Return the text of a tool's error for the model and for AI SDK 7 clients: the SDK's form ``Name: message``."""
    name = error.sdk_name if isinstance(error, ToolError) else "Error"
    return f"{name}: {describe_error(error)}"


class ToolRunner:
    """Runner of the calls of one step. It yields their parts as they come.

    Args:
        make_context: Makes the context of a call.
        on_error: Called with each exception. It may return the text for the browser.
        concurrency: The most calls that run at once; None for no limit.
        tell: Tells the application of ``on_tool_start`` and ``on_tool_end``; None if it does not listen. Never raises.
        watch: Returns what to enter while a tool runs; see `AnswerObserver.watch_tool`.
        chat_id: The chat, for log lines.
    """

    def __init__(
        self,
        make_context: MakeContext,
        on_error: Callable[[BaseException], str | None],
        *,
        concurrency: int | None = None,
        tell: TellOfTool | None = None,
        watch: Callable[[Execution], AbstractContextManager[NoteOutput]] = UNOBSERVED.watch_tool,
        chat_id: str | None = None,
    ) -> None:
        self.chat_id = chat_id
        self.make_context = make_context
        self.slots = None if concurrency is None else asyncio.Semaphore(concurrency)
        self.tell = tell
        self.on_error = on_error
        self.watch = watch
        self.queue = PartQueue()
        self.outcomes = ToolOutcomes()
        self.results = self.outcomes.results

    def write(self, part: Part) -> None:
        """Write a tool's own part to the client now. Callable from any thread.

        Raises:
            InvalidPartError: The value is no part, or a field has a wrong value.
        """
        if (valid := maybe_valid_part(part)) is not None:
            self.queue.put(valid)

    def write_data(self, name: Any, data: Any = NOT_GIVEN, *, id: str | None = None, transient: bool = False) -> None:
        """Write a data part; see `usechat.answers.writer.data_parts.data_part`.

        Raises:
            ValueError: JSON cannot hold the data, or it has a key that no client reads.
        """
        self.write(data_part(name, data, id=id, transient=transient))

    async def drain(self) -> None:
        """Wait while the reader is far behind."""
        await self.queue.drain()

    async def run(self, executions: Sequence[Execution]) -> AsyncGenerator[list[Part]]:
        """Run all calls at once, started in their order. Yield their parts as soon as there are any."""
        tasks = tuple(asyncio.create_task(self._run_in_turn(execution)) for execution in executions)
        running = set(tasks)

        def ended(task: asyncio.Task[None]) -> None:
            running.discard(task)
            if not running:
                self.queue.close()

        for task in tasks:
            task.add_done_callback(ended)
        try:
            while (batch := await self.queue.take()) is not None:
                # When calls end in the same instant, the AI SDK sends the failures first.
                batch.sort(key=is_last_output)
                yield batch
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            late, self.queue.parts = self.queue.parts, []
            self.outcomes.late.extend(late)

    async def _run_in_turn(self, execution: Execution) -> None:
        if self.slots is None:
            await self._run_and_tell(execution)
        else:
            async with self.slots:
                await self._run_and_tell(execution)

    async def _run_and_tell(self, execution: Execution) -> None:
        if self.tell is None:
            await self._run_one(execution)
            return
        of_call: dict[str, Any] = {
            "tool_call_id": execution.tool_call_id,
            "tool_name": execution.tool.name,
            "input": execution.arguments,
        }
        await self.tell("on_tool_start", ToolStartEvent(**of_call))
        begun = time.monotonic()
        output, error = await self._run_one(execution)
        seconds = time.monotonic() - begun
        await self.tell("on_tool_end", ToolEndEvent(**of_call, output=output, error=error, seconds=seconds))

    async def _run_one(self, execution: Execution) -> tuple[Any, BaseException | None]:
        """Run a call. Return its result and its error."""
        limit = execution.tool.timeout
        work = asyncio.create_task(self._work(execution))
        is_stopped = False
        try:
            await asyncio.wait({work}, timeout=limit)
        except asyncio.CancelledError:
            is_stopped = True
        is_late = not work.done()
        if is_late:
            await stop(work, execution)
        if has_outcome(work, execution, is_late=is_late):
            return self._end(execution, work)
        why = f"The tool did not end within {limit:g} seconds. " if is_late and not is_stopped else ""
        unknown = interrupted(execution, why)
        if not is_stopped:
            self._fail(execution, unknown)
        return None, unknown

    def _end(
        self, execution: Execution, work: asyncio.Task[tuple[Any, ToolResultOutput]]
    ) -> tuple[Any, BaseException | None]:
        """Show the outcome of a tool that has ended, and return it."""
        try:
            shown, output = work.result()
        except Exception as error:  # noqa: BLE001 - the model gets whatever a tool raises
            raised = original_error(error)
            self._fail(execution, raised)
            return None, raised
        self._keep(execution, output)
        self.queue.put(self._available(execution, shown))
        return shown, None

    async def _work(self, execution: Execution) -> tuple[Any, ToolResultOutput]:
        try:
            with Contained(), self.watch(execution) as note:
                output = await self.call(execution)
                shown = self._to_json(execution, output)
                note(shown)
                return shown, await self._model_output(execution, output, shown)
        except ApplicationError as error:
            if isinstance(error.error, asyncio.CancelledError):
                raise interrupted(execution) from error.error
            raise

    async def _model_output(self, execution: Execution, output: Any, shown: Any) -> ToolResultOutput:
        convert = execution.tool.to_model_output
        if convert is None:
            return model_output(shown)
        converted: Any = convert(output)
        converted = await converted if inspect.isawaitable(converted) else converted
        if isinstance(converted, Mapping):
            return read_tool_output(converted, "to_model_output")
        if not isinstance(converted, ToolResultOutput):
            name = type(converted).__name__
            raise self._error(execution, f"to_model_output must return a ToolResultOutput, not {name}.")
        return converted

    def _error(self, execution: Execution, message: str) -> ToolExecutionError:
        return ToolExecutionError(message, tool_name=execution.tool.name, tool_call_id=execution.tool_call_id)

    async def call(self, execution: Execution) -> Any:
        """Return the tool's result. Write preliminary results as they come."""
        tool = execution.tool
        function = tool.execute
        assert function is not None
        args, kwargs = ((), dict(execution.arguments)) if tool.takes_keywords else ((execution.arguments,), {})
        if tool.context_parameter is not None:
            kwargs[tool.context_parameter] = self.make_context(execution.tool_call_id, tool.name, self)
        if runs_on_loop(function):
            self.outcomes.begun.add(execution.tool_call_id)
            result = function(*args, **kwargs)
        else:
            result = await self._call_on_thread(execution, lambda: function(*args, **kwargs))
        if inspect.isawaitable(result):
            result = await result
        if inspect.isgenerator(result):
            result = iterate_on_thread(cast("Generator[Any]", result))
        if isinstance(result, AsyncIterable):
            return await self._last(execution, cast("AsyncIterable[Any]", result))
        return result

    async def _call_on_thread(self, execution: Execution, function: Callable[[], Any]) -> Any:
        """Return the function's result. A thread cannot be stopped, so a cancellation waits for its end, too."""
        # Who takes it first decides whether the function is called at all.
        chance = threading.Lock()

        def begin() -> Any:
            if not chance.acquire(blocking=False):
                return None
            self.outcomes.begun.add(execution.tool_call_id)
            return function()

        async def run() -> Any:
            with Contained():
                return await anyio.to_thread.run_sync(begin, abandon_on_cancel=True)

        thread = asyncio.create_task(run())
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            if chance.acquire(blocking=False):
                thread.cancel()
            # A second cancellation abandons the thread.
            return await thread

    async def _last(self, execution: Execution, outputs: AsyncIterable[Any]) -> Any:
        last: Any = None
        async with aclosing(as_generator(outputs)) as closing:
            async for output in closing:
                last = output
                shown = self._to_json(execution, output)
                if execution.tool_call_id in self.results:
                    break  # its time was up
                self.queue.put(self._available(execution, shown, preliminary=True))
                await self.drain()
        return last

    def _to_json(self, execution: Execution, output: Any) -> Any:
        try:
            shown = to_json_value(to_jsonable_python(output), MAX_VALUE_DEPTH)
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise self._error(execution, "The tool's result cannot be written as JSON.") from error
        if (path := find_unsafe_key(shown)) is not None:
            # A client would refuse the chunk, and with it the whole answer.
            raise self._error(execution, f"The tool's result has the key {path}, which no client reads.")
        return shown

    def _available(self, execution: Execution, output: Any, *, preliminary: bool | None = None) -> Part:
        return ToolOutputAvailable(
            tool_call_id=execution.tool_call_id,
            tool_name=execution.tool.name,
            output=output,
            preliminary=preliminary,
            dynamic=execution.dynamic,
            provider_metadata=execution.provider_metadata,
            tool_metadata=execution.tool.metadata,
        )

    def _fail(self, execution: Execution, error: BaseException) -> None:
        # The browser is shown no error of a tool, so the log is where it is looked for.
        where = execution.tool.name, execution.tool_call_id, self.chat_id
        logger.error("tool %s failed (call %r, chat %r)", *where, exc_info=error)
        text = error_text(error)
        client_text = self.on_error(error)
        if client_text is None and isinstance(error, InterruptedToolError):
            # No secret: a browser that holds the history sends the model's words back.
            client_text = text
        self._keep(execution, ToolResultOutput("error-text", text))
        self.queue.put(
            ToolOutputError(
                tool_call_id=execution.tool_call_id,
                tool_name=execution.tool.name,
                error_text=text,
                client_text=client_text,
                dynamic=execution.dynamic,
                provider_metadata=execution.provider_metadata,
                tool_metadata=execution.tool.metadata,
            )
        )

    def _keep(self, execution: Execution, output: ToolResultOutput) -> None:
        self.results[execution.tool_call_id] = ToolResultContent(
            tool_call_id=execution.tool_call_id, tool_name=execution.tool.name, output=output
        )


def is_last_output(part: Part) -> bool:
    return isinstance(part, ToolOutputAvailable) and not part.preliminary


def runs_on_loop(function: Callable[..., Any]) -> bool:
    """Return whether a call of the function returns an awaitable or an async iterator at once. Others may block."""
    asks = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    return any(ask(each) for ask in asks for each in (function, getattr(function, "__call__", None)))  # noqa: B004


def model_output(output: Any) -> ToolResultOutput:
    """Return a result in the model's form: text unchanged, everything else as JSON."""
    return ToolResultOutput("text" if isinstance(output, str) else "json", output)


def has_outcome(work: asyncio.Task[Any], execution: Execution, *, is_late: bool) -> bool:
    """Return whether a tool has ended with an output or an error of its own.

    An error of a tool that was cancelled tells of its end, not of what it has done. A thread notices no cancellation.
    """
    if not work.done() or work.cancelled():
        return False
    assert execution.tool.execute is not None
    return not is_late or work.exception() is None or not runs_on_loop(execution.tool.execute)


async def stop(work: asyncio.Task[Any], execution: Execution) -> None:
    """Cancel a running tool and wait for its end, `GRACE_SECONDS` at most. A thread has this time to end by itself."""
    work.cancel()
    _, stubborn = await asyncio.wait({work}, timeout=GRACE_SECONDS)
    if stubborn:
        logger.warning("tool %s goes on although it was cancelled", execution.tool.name)
        work.add_done_callback(forget)


def forget(work: asyncio.Task[Any]) -> None:
    if not work.cancelled():
        # Python would report an error that nobody has looked at.
        work.exception()
