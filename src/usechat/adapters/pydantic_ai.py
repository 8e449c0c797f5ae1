"""pydantic-ai: the events of an agent's run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, ClassVar

from usechat.adapters.progress import AnswerProgress, field, finish_reason, known_usage, read_json
from usechat.adapters.reading import read_answer
from usechat.json import write_json
from usechat.parts import File, Part

__all__ = ["from_pydantic_ai"]


def from_pydantic_ai(run: Any) -> AsyncGenerator[Part]:
    """Yield the parts of a run of a pydantic-ai agent: a step for each of its model's responses.

        ui_message_stream(from_pydantic_ai(agent.run_stream_events(question)))

    Text, thinking, files, calls and outputs of tools are shown, and approvals of deferred calls are asked for. Their
    ids are those of the calls: `read_decisions` reads the answers, for ``DeferredToolResults(approvals={id: …})``. The
    usage is known at the end, and is told with the last step.

    Args:
        run: The result of ``run_stream_events``, entered or not, or any iterator of such events.

    Raises:
        Exception: Those of the run.
    """
    reader = RunReader()
    return read_answer(run, reader.answer, reader.read)


class RunReader:
    """Reads the events of one run."""

    def __init__(self) -> None:
        self.answer = AnswerProgress()
        self.calls: dict[int, str] = {}
        """The calls of the response, by the index of their part."""
        self.is_over = True
        """Whether the response is over to which the last event belonged."""

    def read(self, event: Any) -> None:
        """Read one event."""
        handler = self.EVENTS.get(str(field(event, "event_kind")))
        if handler is not None:
            handler(self, event)

    def _begin_part(self, event: Any) -> None:
        index, part = field(event, "index"), field(event, "part")
        if self.is_over or self.answer.step is None:
            self.answer.begin_step()
            self.calls.clear()
            self.is_over = False
        match field(part, "part_kind"):
            case "text":
                self.answer.text("response", field(part, "content"), index)
            case "thinking":
                self.answer.reasoning("response", field(part, "content"), index)
            case "tool-call" | "builtin-tool-call" as kind:
                self.calls[index] = id_ = str(field(part, "tool_call_id"))
                is_native = True if kind == "builtin-tool-call" else None
                self.answer.begin_call(id_, str(field(part, "tool_name")), provider_executed=is_native)
                self.answer.call_input(id_, text_of(field(part, "args")))
            case _:
                pass

    def _add_to_part(self, event: Any) -> None:
        index, delta = field(event, "index"), field(event, "delta")
        match field(delta, "part_delta_kind"):
            case "text":
                self.answer.text("response", field(delta, "content_delta"), index)
            case "thinking":
                self.answer.reasoning("response", field(delta, "content_delta"), index)
            case "tool_call":
                self.answer.call_input(self.calls.get(index, ""), text_of(field(delta, "args_delta")))
            case _:
                pass

    def _end_part(self, event: Any) -> None:
        part = field(event, "part")
        match field(part, "part_kind"):
            case "text" | "thinking":
                self.answer.end_block("response")
            case "tool-call" | "builtin-tool-call":
                self.show_call(part)
            case "builtin-tool-return":
                self.show_outcome(part)
            case "file":
                content = field(part, "content")
                self.answer.end_blocks()
                self.answer.parts.append(File(media_type=field(content, "media_type"), url=field(content, "data_uri")))
            case _:
                pass
        # A response without tools may be followed by another, when its output is refused.
        self.is_over = field(event, "next_part_kind") is None

    def show_call(self, part: Any) -> None:
        """Show a call's input, if the call is of this run: one that was deferred is known from the earlier run."""
        id_, name, args = str(field(part, "tool_call_id")), str(field(part, "tool_name")), field(part, "args")
        call = self.answer.calls.get(id_)
        if call is None or not call.is_started or call.is_shown:
            return
        input: Any = read_json(args) if isinstance(args, str) and args.strip() else args or {}
        if isinstance(input, str):
            self.answer.refuse_call(id_, name, input, "The input is no JSON.")
        else:
            self.answer.show_call(id_, name, input)

    def _call(self, event: Any) -> None:
        self.is_over = True
        self.show_call(field(event, "part"))

    def _result(self, event: Any) -> None:
        self.is_over = True
        self.show_outcome(field(event, "part") or field(event, "result"))

    def show_outcome(self, part: Any) -> None:
        """Show the outcome of a call."""
        id_, name, content = str(field(part, "tool_call_id")), str(field(part, "tool_name")), field(part, "content")
        # Releases before 2 told a retry in a part of its own.
        outcome = "retried" if field(part, "part_kind") == "retry-prompt" else field(part, "outcome") or "success"
        match outcome:
            case "success":
                self.answer.output(id_, name, content)
            case "denied":
                self.answer.denied(id_, name)
            case _:
                self.answer.output_error(id_, name, content if isinstance(content, str) else str(content))

    def _finish(self, event: Any) -> None:
        result = field(event, "result")
        response, output, usage = field(result, "response"), field(result, "output"), field(result, "usage")
        for part in field(output, "approvals") or ():
            id_ = str(field(part, "tool_call_id"))
            self.answer.ask(id_, id_)
        if field(usage, "input_tokens") is None and callable(usage):
            # A method, before release 2.
            usage = usage()
        if self.answer.step is None or usage is None:
            return
        self.answer.note(
            usage=known_usage(
                field(usage, "input_tokens"),
                field(usage, "output_tokens"),
                cache_read=field(usage, "cache_read_tokens") or None,
                cache_write=field(usage, "cache_write_tokens") or None,
                reasoning=field(field(usage, "details"), "reasoning_tokens"),
            ),
            finish_reason=finish_reason(field(response, "finish_reason")),
            model_id=field(response, "model_name"),
            response_id=field(response, "provider_response_id"),
        )

    EVENTS: ClassVar[Mapping[str, Callable[..., None]]] = {
        "part_start": _begin_part,
        "part_delta": _add_to_part,
        "part_end": _end_part,
        "function_tool_call": _call,
        "output_tool_call": _call,
        "function_tool_result": _result,
        "output_tool_result": _result,
        "agent_run_result": _finish,
    }


def text_of(args: Any) -> str | None:
    """Return a call's input, or a piece of it, as text."""
    return args if args is None or isinstance(args, str) else write_json(args)
