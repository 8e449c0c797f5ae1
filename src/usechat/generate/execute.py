"""Runs tools: in parallel, each with its time limit, cancelled with the answer.

A plain function runs on a thread; a generator's values are preliminary outputs and its last one the result. Whatever
a tool does, its call ends in an output or an error, and the model is told of it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, cast

import anyio.to_thread
import msgspec
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from usechat import parts as p
from usechat.errors import ToolError, ToolExecutionError
from usechat.generate.tools import Tool, ToolContext
from usechat.messages.model import ToolResultContent, ToolResultOutput

__all__ = ["Execution", "ToolRunner", "error_text"]


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """A call that is ready to run."""

    tool: Tool
    tool_call_id: str
    arguments: Any
    """The checked input, as the function takes it."""
    dynamic: bool | None = None
    provider_metadata: p.ProviderMetadata | None = None
    """The call's own, which its output repeats."""


def error_text(error: BaseException) -> str:
    """What the model, and an AI SDK 7 client, is told of a failed tool: the SDK's form ``Name: message``."""
    name = error.sdk_name if isinstance(error, ToolError) else "Error"
    # A bare exception says nothing but its class.
    return f"{name}: {error}" if str(error) else f"{name}: {type(error).__name__}"


class ToolRunner:
    """Runs the calls of one step and hands over their parts as they come.

    Args:
        context: Makes the context of a call.
        on_error: Told of each exception; may give the text that the browser is to see.
    """

    def __init__(self, context: Callable[..., ToolContext], on_error: Callable[[BaseException], str | None]) -> None:
        self.make_context = context
        self.on_error = on_error
        self.queue: asyncio.Queue[p.Part | None] = asyncio.Queue()
        self.results: dict[str, ToolResultContent] = {}

    def write(self, part: p.Part) -> None:
        """Show a tool's own part now."""
        self.queue.put_nowait(part)

    async def run(self, executions: Sequence[Execution]) -> AsyncIterator[list[p.Part]]:
        """Run all calls at once; yields what they show, as soon as there is something."""
        tasks = [asyncio.create_task(self._run_one(execution)) for execution in executions]
        for task in tasks:
            task.add_done_callback(lambda _: self.queue.put_nowait(None))
        try:
            running = len(tasks)
            while running:
                batch = [await self.queue.get()]
                while not self.queue.empty():
                    batch.append(self.queue.get_nowait())
                running -= batch.count(None)
                parts = [part for part in batch if part is not None]
                if parts:
                    yield parts
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_one(self, execution: Execution) -> None:
        try:
            async with asyncio.timeout(execution.tool.timeout):
                output = await self.call(execution)
            self._succeed(execution, output)
        except TimeoutError:
            limit = execution.tool.timeout
            self._fail(execution, self._error(execution, f"The tool did not end within {limit:g} seconds."))
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is the model's to hear
            self._fail(execution, error)

    def _error(self, execution: Execution, message: str) -> ToolExecutionError:
        return ToolExecutionError(message, tool_name=execution.tool.name, tool_call_id=execution.tool_call_id)

    async def call(self, execution: Execution) -> Any:
        """The tool's result; preliminary ones are shown on the way."""
        function, args, kwargs = self.bind(execution)
        if inspect.isasyncgenfunction(function):
            return await self._drain(execution, function(*args, **kwargs))
        if inspect.isgeneratorfunction(function):
            return await self._drain(execution, iterate_on_thread(function(*args, **kwargs)))
        if inspect.iscoroutinefunction(function):
            return await function(*args, **kwargs)
        result = await anyio.to_thread.run_sync(lambda: function(*args, **kwargs), abandon_on_cancel=True)
        return await result if inspect.isawaitable(result) else result

    async def _drain(self, execution: Execution, outputs: AsyncIterator[Any]) -> Any:
        last: Any = None
        async for output in outputs:
            last = output
            self.write(self._available(execution, self._to_json(execution, output), preliminary=True))
        return last

    def bind(self, execution: Execution) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """The function and its arguments."""
        tool, arguments = execution.tool, execution.arguments
        assert tool.execute is not None
        kwargs: dict[str, Any] = {}
        args: tuple[Any, ...] = (arguments,)
        if tool.takes_keywords:
            args = ()
            kwargs = {name: getattr(arguments, name) for name in cast("type[BaseModel]", type(arguments)).model_fields}
        if tool.context_parameter is not None:
            kwargs[tool.context_parameter] = self.make_context(execution, self)
        return tool.execute, args, kwargs

    def _to_json(self, execution: Execution, output: Any) -> Any:
        try:
            return to_jsonable_python(output)
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise self._error(execution, "The tool's result cannot be written as JSON.") from error

    def _available(self, execution: Execution, output: Any, *, preliminary: bool | None = None) -> p.Part:
        return p.ToolOutputAvailable(
            tool_call_id=execution.tool_call_id,
            tool_name=execution.tool.name,
            output=output,
            preliminary=preliminary,
            dynamic=execution.dynamic,
            provider_metadata=execution.provider_metadata,
        )

    def _succeed(self, execution: Execution, output: Any) -> None:
        shown = self._to_json(execution, output)
        convert = execution.tool.to_model_output
        self._keep(execution, model_output(shown) if convert is None else convert(output))
        self.write(self._available(execution, shown))

    def _fail(self, execution: Execution, error: Exception) -> None:
        text = error_text(error)
        self._keep(execution, ToolResultOutput("error-text", text))
        self.write(
            p.ToolOutputError(
                tool_call_id=execution.tool_call_id,
                tool_name=execution.tool.name,
                error_text=text,
                client_text=self.on_error(error),
                dynamic=execution.dynamic,
                provider_metadata=execution.provider_metadata,
            )
        )

    def _keep(self, execution: Execution, output: ToolResultOutput) -> None:
        self.results[execution.tool_call_id] = ToolResultContent(
            tool_call_id=execution.tool_call_id, tool_name=execution.tool.name, output=output
        )


def model_output(output: Any) -> ToolResultOutput:
    """A result as the model gets it: text as it is, everything else as JSON."""
    return ToolResultOutput("text" if isinstance(output, str) else "json", output)


END = object()


async def iterate_on_thread(values: Iterator[Any]) -> AsyncIterator[Any]:
    """A plain generator's values, each made on a thread."""
    while (value := await anyio.to_thread.run_sync(next, values, END, abandon_on_cancel=True)) is not END:
        yield value
