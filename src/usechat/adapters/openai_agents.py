"""openai-agents: the events of a streamed run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from typing import Any

from usechat.adapters.openai_responses import ResponsesReader
from usechat.adapters.progress import field
from usechat.adapters.reading import read_stream
from usechat.parts import Part

__all__ = ["from_openai_agents"]


async def from_openai_agents(run: Any) -> AsyncGenerator[Part]:
    """Yield the parts of a run of openai-agents: a step for each of its model's responses.

        ui_message_stream(from_openai_agents(Runner.run_streamed(agent, question)))

    Besides all that `from_openai_responses` shows, the outputs of tools and handoffs are shown, and the approvals are
    asked for that interrupt the run. Their ids are those of the calls: `read_decisions` reads the answers, for
    ``state.approve(item)`` and ``state.reject(item)``. A run whose reader leaves is cancelled.

    Args:
        run: The result of ``Runner.run_streamed``; or its ``stream_events()``, which tell of no approvals.

    Raises:
        Exception: Those of the run.
    """
    reader = AgentsReader()
    answer = reader.responses.answer
    events: AsyncIterable[Any] = run.stream_events() if hasattr(run, "stream_events") else run
    is_over = False
    try:
        async with aclosing(read_stream(events, answer, reader.read)) as parts:
            async for part in parts:
                yield part
        is_over = True
    finally:
        if not is_over and hasattr(run, "cancel"):
            run.cancel()
    for item in field(run, "interruptions") or ():
        reader.ask(item)
    answer.end_step()
    for part in answer.take():
        yield part


class AgentsReader:
    """Reads the events of one run."""

    def __init__(self) -> None:
        self.responses = ResponsesReader()

    def read(self, event: Any) -> None:
        """Read one event."""
        match field(event, "type"):
            case "raw_response_event":
                self.responses.read(field(event, "data"))
            case "run_item_stream_event":
                self.read_item(field(event, "item"))
            case _:
                pass

    def read_item(self, item: Any) -> None:
        """Read an item: a call that the model's events have not shown, or an output."""
        raw = field(item, "raw_item")
        match field(item, "type"):
            case "tool_call_item" | "handoff_call_item":
                self.responses.show_item(raw)
            case "tool_call_output_item":
                self.show_output(raw, field(item, "output"))
            case "handoff_output_item":
                self.show_output(raw, field(raw, "output"))
            case _:
                pass

    def show_output(self, raw: Any, output: Any) -> None:
        """Show a call's output."""
        call_id = field(raw, "call_id")
        if call_id is not None:
            self.responses.answer.output(str(call_id), "", output)

    def ask(self, item: Any) -> None:
        """Ask for the approval of a call."""
        raw = field(item, "raw_item")
        self.responses.show_item(raw)
        call_id = field(raw, "call_id") or field(raw, "id")
        if call_id is not None:
            self.responses.answer.ask(str(call_id), str(call_id))
