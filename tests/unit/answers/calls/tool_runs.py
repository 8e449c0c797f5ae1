"""Tools that are run for a test, and what they showed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from usechat import ToolContext
from usechat.answers.calls.execute import Execution, ToolRunner
from usechat.messages.model import ToolResultOutput
from usechat.parts import Part, ToolOutputAvailable, ToolOutputError
from usechat.tools.tool import ToolWriter, read_tools


def make_context(tool_call_id: str, tool_name: str, writer: ToolWriter) -> ToolContext:
    return ToolContext(
        tool_call_id=tool_call_id,
        tool_name=tool_name,
        messages=(),
        writer=writer,
        abort=asyncio.Event(),
        deps="the request",
    )


class Run:
    """One step's tools, run to their end."""

    def __init__(self, *functions: Any, timeout: float | None = 5.0, **options: Any) -> None:
        self.told: list[BaseException] = []
        self.runner = ToolRunner(make_context, self._tell)
        tools = read_tools({f"t{number}": function for number, function in enumerate(functions)})
        self.executions = [
            Execution(tool=tool_with(made, timeout=timeout, **options), tool_call_id=f"c{number}", arguments={})
            for number, made in enumerate(tools.values())
        ]
        self.batches: list[list[Part]] = []

    def _tell(self, error: BaseException) -> str | None:
        self.told.append(error)
        return None

    async def parts(self) -> list[Part]:
        async for batch in self.runner.run(self.executions):
            self.batches.append(batch)
        return [part for batch in self.batches for part in batch]

    async def output(self) -> Any:
        """The only call's output."""
        *_, last = await self.parts()
        assert isinstance(last, ToolOutputAvailable)
        assert not last.preliminary
        return last.output

    async def error(self) -> str:
        """The only call's error."""
        *_, last = await self.parts()
        assert isinstance(last, ToolOutputError)
        assert self.result() == ToolResultOutput("error-text", last.error_text)
        return last.error_text

    def result(self, tool_call_id: str = "c0") -> ToolResultOutput:
        """What the model gets."""
        return self.runner.results[tool_call_id].output


def tool_with(made: Any, **options: Any) -> Any:
    return msgspec.structs.replace(made, **options)


def returning(value: Any) -> Callable[[], Any]:
    async def run() -> Any:
        return value

    return run
