"""OpenAI's Responses API, as the ``openai`` package streams it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from typing import Any, ClassVar

from usechat.adapters.progress import AnswerProgress, field, finish_reason, known_usage, read_json
from usechat.adapters.reading import read_answer
from usechat.errors import ProviderStreamError
from usechat.parts import File, Part, SourceUrl

__all__ = ["ResponsesReader", "from_openai_responses"]

SERVER_TOOLS: Mapping[str, tuple[str, str]] = {
    "web_search_call": ("action", "status"),
    "file_search_call": ("queries", "results"),
    "code_interpreter_call": ("code", "outputs"),
    "image_generation_call": ("", "status"),
}
"""Tools that OpenAI runs: the fields with their input and their output."""


def from_openai_responses(stream: AsyncIterable[Any]) -> AsyncGenerator[Part]:
    """Yield the step of each response in a stream of the Responses API, of objects or dicts.

        stream = await client.responses.create(model=…, input=…, stream=True)
        ui_message_stream(from_openai_responses(stream))

    Text, refusals, reasoning, sources, images, calls of functions and of OpenAI's own tools are shown, and MCP
    approvals are asked for; nobody runs the functions.

    Raises:
        ProviderStreamError: The response failed.
        Exception: Those of the stream.
    """
    reader = ResponsesReader()
    return read_answer(stream, reader.answer, reader.read)


class ResponsesReader:
    """Reads the events of responses, one after the other."""

    def __init__(self) -> None:
        self.answer = AnswerProgress()
        self.calls: dict[int, str] = {}
        """The ids of the response's calls by their place. Some servers give all items one id."""
        self.sources = 0

    def read(self, event: Any) -> None:
        """Read one event."""
        handler = self.EVENTS.get(str(field(event, "type")))
        if handler is not None:
            handler(self, event)

    def _begin(self, event: Any) -> None:
        self.answer.begin_step()
        self.calls.clear()

    def _end(self, event: Any) -> None:
        response = field(event, "response")
        usage = field(response, "usage")
        into, out = field(usage, "input_tokens_details"), field(usage, "output_tokens_details")
        why_incomplete = finish_reason(field(field(response, "incomplete_details"), "reason"))
        self.answer.note(
            usage=None
            if usage is None
            else known_usage(
                field(usage, "input_tokens"),
                field(usage, "output_tokens"),
                cache_read=field(into, "cached_tokens"),
                reasoning=field(out, "reasoning_tokens"),
            ),
            finish_reason=why_incomplete,
            response_id=field(response, "id"),
            model_id=field(response, "model"),
        )
        self.answer.end_blocks()
        self.answer.show_calls()

    def _fail(self, event: Any) -> None:
        error = field(field(event, "response"), "error") or event
        raise ProviderStreamError(str(field(error, "message") or "the response failed"), provider="openai")

    def _text(self, event: Any) -> None:
        self.answer.text("response", field(event, "delta"), place_of(event, "content_index"))

    def _summary(self, event: Any) -> None:
        self.answer.reasoning("response", field(event, "delta"), place_of(event, "summary_index"))

    def _reasoning(self, event: Any) -> None:
        self.answer.reasoning("response", field(event, "delta"), place_of(event, "content_index"))

    def _annotation(self, event: Any) -> None:
        annotation = field(event, "annotation")
        url = field(annotation, "url")
        if isinstance(url, str):
            self.sources += 1
            source = SourceUrl(source_id=f"source-{self.sources}", url=url, title=field(annotation, "title"))
            self.answer.parts.append(source)

    def _add_item(self, event: Any) -> None:
        item = field(event, "item")
        kind = str(field(item, "type"))
        if kind in ("function_call", "custom_tool_call"):
            self._begin_call(event, str(field(item, "call_id")), str(field(item, "name")))
        elif kind == "mcp_call":
            self._begin_call(event, str(field(item, "id")), str(field(item, "name")), provider_executed=True)
        elif kind in SERVER_TOOLS:
            name = kind.removesuffix("_call")
            self._begin_call(event, str(field(item, "id")), name, provider_executed=True)

    def _begin_call(self, event: Any, id_: str, name: str, *, provider_executed: bool | None = None) -> None:
        self.calls[field(event, "output_index")] = id_
        self.answer.begin_call(id_, name, provider_executed=provider_executed)

    def _arguments(self, event: Any) -> None:
        self.answer.call_input(self.calls.get(field(event, "output_index"), ""), field(event, "delta"))

    def _end_item(self, event: Any) -> None:
        item = field(event, "item")
        kind = str(field(item, "type"))
        if kind in ("message", "reasoning"):
            self.answer.end_block("response")
        else:
            self.show_item(item)

    def show_item(self, item: Any) -> None:
        """Show a whole item that is a tool call."""
        kind, id_, name = str(field(item, "type")), str(field(item, "id")), str(field(item, "name"))
        match kind:
            case "function_call":
                self._show_function(str(field(item, "call_id")), name, str(field(item, "arguments") or "{}"))
            case "custom_tool_call":
                self.answer.show_call(str(field(item, "call_id")), name, field(item, "input"))
            case "mcp_call":
                self._show_mcp_call(item, id_, name)
            case "mcp_approval_request":
                self._show_function(id_, name, str(field(item, "arguments") or "{}"), provider_executed=True)
                self.answer.ask(id_, id_)
            case _ if kind in SERVER_TOOLS:
                self._show_server_tool(item, kind, id_)
            case _:
                pass

    def _show_mcp_call(self, item: Any, id_: str, name: str) -> None:
        self._show_function(id_, name, str(field(item, "arguments") or "{}"), provider_executed=True)
        if (error := field(item, "error")) is not None:
            self.answer.output_error(id_, name, str(field(error, "message") or error))
        else:
            self.answer.output(id_, name, read_json(str(field(item, "output") or "")))

    def _show_function(self, id_: str, name: str, arguments: str, *, provider_executed: bool | None = None) -> None:
        input = read_json(arguments)
        if isinstance(input, str):
            if id_ not in self.answer.calls or not self.answer.calls[id_].is_shown:
                self.answer.refuse_call(id_, name, arguments, "The input is no JSON.")
        else:
            self.answer.show_call(id_, name, input, provider_executed=provider_executed)

    def _show_server_tool(self, item: Any, kind: str, id_: str) -> None:
        name = kind.removesuffix("_call")
        given, made = SERVER_TOOLS[kind]
        input = {given: field(item, given)} if given else {}
        self.answer.show_call(id_, name, input, provider_executed=True)
        self.answer.output(id_, name, {made: field(item, made)})
        image = field(item, "result")
        if kind == "image_generation_call" and isinstance(image, str):
            self.answer.parts.append(File(media_type="image/png", url=f"data:image/png;base64,{image}"))

    EVENTS: ClassVar[Mapping[str, Callable[..., None]]] = {
        "response.created": _begin,
        "response.completed": _end,
        "response.incomplete": _end,
        "response.failed": _fail,
        "error": _fail,
        "response.output_text.delta": _text,
        "response.refusal.delta": _text,
        "response.reasoning_summary_text.delta": _summary,
        "response.reasoning_text.delta": _reasoning,
        "response.output_text.annotation.added": _annotation,
        "response.output_item.added": _add_item,
        "response.function_call_arguments.delta": _arguments,
        "response.mcp_call_arguments.delta": _arguments,
        "response.output_item.done": _end_item,
    }


def place_of(event: Any, index: str) -> tuple[Any, Any]:
    """Return the place of a block within its response."""
    return field(event, "output_index"), field(event, index)
