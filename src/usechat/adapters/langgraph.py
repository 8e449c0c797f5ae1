"""LangGraph's streams: ``astream`` in its modes, and ``astream_events``.

Messages are told by their fields, as in ``langchain_core.messages``; the package itself is not imported.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias, cast

from usechat.adapters.progress import AnswerProgress, field, finish_reason, json_value, known_usage, read_json
from usechat.adapters.reading import read_answer
from usechat.parts import Data, Part, Usage

__all__ = ["StreamMode", "from_langgraph"]

StreamMode: TypeAlias = Literal["messages", "updates", "values", "custom"]
MODES = frozenset({"messages", "updates", "values", "custom", "tasks", "checkpoints", "debug"})
INTERRUPTS = "__interrupt__"


def from_langgraph(
    stream: AsyncIterable[Any], *, stream_mode: StreamMode | None = None, data_name: str = "custom"
) -> AsyncGenerator[Part]:
    """Yield the parts of a LangGraph stream.

        ui_message_stream(from_langgraph(graph.astream(state, config, stream_mode=["messages", "updates"])))

    Each message of a model is a step with its text, reasoning, tool calls and usage; tool messages are the outputs of
    their calls. A message or output that several modes bring is shown once. An interrupt is a ``data-interrupt`` part
    with its id and value, and asks for the approval of the call that waits for it, if one does; `read_decisions` reads
    the answer, for ``Command(resume={interrupt_id: …})``.

    Args:
        stream: The result of ``astream``, with any modes, subgraphs and version; or of ``astream_events``. "messages"
            brings text as it is written, and only "updates" and "values" bring interrupts.
        stream_mode: The one mode of ``astream``, if its items do not tell: they are taken for "values" when they have
            a list of messages, and for "updates" otherwise. Name "custom" here.
        data_name: The NAME of the ``data-NAME`` parts in which custom items are shown. A part of `usechat.parts` is
            sent as it is.

    Raises:
        Exception: Those of the graph.
    """
    reader = LangGraphReader(stream_mode, data_name)
    return read_answer(stream, reader.answer, reader.read)


class LangGraphReader:
    """Reads the items of one stream."""

    def __init__(self, mode: StreamMode | None, data_name: str) -> None:
        self.mode = mode
        self.data_name = data_name
        self.answer = AnswerProgress()
        self.seen: set[str] = set()
        """Ids of messages that are shown, or were there before."""
        self.streaming: str | None = None
        """The message of the open step."""
        self.interrupts: set[str] = set()
        self.has_values = False
        self.call_ids: dict[tuple[str, Any], str] = {}
        """The id of the call at an index of a message, which only its first chunk tells."""

    def read(self, item: Any) -> None:
        """Read one item."""
        if isinstance(item, Mapping):
            known = cast("Mapping[str, Any]", item)
            if "event" in known and "run_id" in known:
                self.read_event(known)
                return
            if "ns" in known and known.get("type") in MODES:
                self.read_mode(known["type"], known.get("data"))
                self.read_interrupts(known.get("interrupts") or ())
                return
        mode, data = read_tuple(item)
        self.read_mode(mode or self.mode or guess_mode(data), data)

    def read_mode(self, mode: str, data: Any) -> None:
        """Read one item of a mode."""
        match mode:
            case "messages":
                self.read_message(data[0])
            case "updates":
                self.read_updates(data)
            case "values":
                self.read_values(data)
            case "custom":
                self.show_data(self.data_name, data)
            case _:
                pass

    def read_updates(self, data: Any) -> None:
        """Read what nodes have written."""
        for name, written in cast("Mapping[str, Any]", data).items():
            if name == INTERRUPTS:
                self.read_interrupts(written)
                continue
            for one in listed(written):
                for message in messages_of(one):
                    self.read_message(message)

    def read_values(self, data: Any) -> None:
        """Read a state. The first is the one before the answer."""
        for message in messages_of(data):
            if self.has_values:
                self.read_message(message)
            else:
                self.note_seen(message)
        self.has_values = True
        self.read_interrupts(field(data, INTERRUPTS) or ())

    def note_seen(self, message: Any) -> None:
        """Note a message of an earlier answer."""
        self.seen.add(str(field(message, "id")))
        if field(message, "type") == "tool":
            self.answer.call(str(field(message, "tool_call_id")), "").has_outcome = True

    def read_message(self, message: Any) -> None:
        """Read a message or a chunk of one."""
        match field(message, "type"):
            case "AIMessageChunk":
                self.read_chunk(message)
            case "ai":
                self.read_whole(message)
            case "tool":
                self.read_tool_message(message)
            case _:
                pass

    def read_chunk(self, message: Any) -> None:
        """Read a chunk of a model's message."""
        id_ = str(field(message, "id"))
        chunks: Sequence[Any] = field(message, "tool_call_chunks") or ()
        if field(message, "content") or chunks or field(message, "usage_metadata"):
            self.begin(id_)
        self.show_content(id_, message)
        for chunk in chunks:
            place = id_, field(chunk, "index")
            call_id, name = field(chunk, "id"), field(chunk, "name")
            if call_id and name:
                self.call_ids[place] = str(call_id)
                self.answer.begin_call(str(call_id), str(name))
            self.answer.call_input(self.call_ids.get(place, ""), field(chunk, "args"))
        self.note_end(message)
        if field(message, "chunk_position") == "last":
            self.answer.end_block(id_)

    def read_whole(self, message: Any) -> None:
        """Read a whole message of a model, unless its chunks were read."""
        id_ = field(message, "id")
        calls: Sequence[Any] = field(message, "tool_calls") or ()
        if id_ is None and (calls and str(field(calls[0], "id")) in self.answer.calls):
            return
        if id_ is not None and str(id_) in self.seen:
            self.answer.show_calls()
            return
        self.begin(str(id_))
        self.show_content(id_, message)
        self.answer.end_block(id_)
        for call in calls:
            self.answer.show_call(str(field(call, "id")), str(field(call, "name")), field(call, "args"))
        for call in field(message, "invalid_tool_calls") or ():
            why = str(field(call, "error") or "The input is no JSON.")
            self.answer.refuse_call(str(field(call, "id")), str(field(call, "name")), field(call, "args"), why)
        self.note_end(message)

    def begin(self, id_: str) -> None:
        """Begin the step of a message that is new."""
        if id_ not in self.seen:
            self.seen.add(id_)
            self.streaming = id_
            self.answer.begin_step()

    def show_content(self, source: Any, message: Any) -> None:
        """Show the text and reasoning of a message or chunk."""
        more = field(message, "additional_kwargs")
        self.answer.reasoning(source, field(more, "reasoning_content"))
        content = field(message, "content")
        for block in (content,) if isinstance(content, str) else cast("Iterable[Any]", content or ()):
            if isinstance(block, str):
                self.answer.text(source, block)
                continue
            match field(block, "type"):
                case "text":
                    self.answer.text(source, field(block, "text"))
                case "thinking":
                    self.answer.reasoning(source, field(block, "thinking"))
                case "reasoning":
                    self.answer.reasoning(source, field(block, "reasoning"))
                    for summary in field(block, "summary") or ():
                        self.answer.reasoning(source, field(summary, "text"))
                case "reasoning_content":
                    self.answer.reasoning(source, field(field(block, "reasoning_content"), "text"))
                case _:
                    pass

    def note_end(self, message: Any) -> None:
        """Note the usage and the reason of the end, which the last chunk or the whole message has."""
        if self.streaming is None or self.answer.step is None:
            return
        response = field(message, "response_metadata")
        reason = next(
            (found for key in ("finish_reason", "stop_reason", "done_reason") if (found := field(response, key))), None
        )
        usage = usage_of(field(message, "usage_metadata"))
        if usage is not None:
            before = self.answer.step.get("usage")
            usage = usage if before is None or field(message, "type") == "ai" else before + usage
        self.answer.note(
            usage=usage,
            finish_reason=finish_reason(reason),
            model_id=field(response, "model_name") or field(response, "model"),
            response_id=field(response, "id"),
        )

    def read_tool_message(self, message: Any) -> None:
        """Read a tool's outcome."""
        call_id, name = str(field(message, "tool_call_id")), str(field(message, "name") or "")
        content = field(message, "content")
        if field(message, "status") == "error":
            self.answer.output_error(call_id, name, content if isinstance(content, str) else str(content))
        else:
            # ToolNode writes objects and lists as JSON text.
            is_json = isinstance(content, str) and content[:1] in ("{", "[")
            self.answer.output(call_id, name, read_json(content) if is_json else content)

    def read_interrupts(self, interrupts: Any) -> None:
        """Show interrupts, and ask for the approval of the calls that wait for them."""
        new = [each for each in listed(interrupts) if str(field(each, "id")) not in self.interrupts]
        waiting = [call.id for call in self.answer.pending]
        for index, interrupt in enumerate(new):
            # One that stands for several calls has one decision.
            self.show_interrupt(interrupt, waiting[min(index, len(waiting) - 1)] if waiting else None)

    def show_interrupt(self, interrupt: Any, call_id: str | None) -> None:
        """Show one interrupt."""
        id_ = str(field(interrupt, "id"))
        if id_ in self.interrupts:
            return
        self.interrupts.add(id_)
        self.show_data("interrupt", {"id": id_, "value": field(interrupt, "value")}, id_)
        if call_id is not None:
            self.answer.ask(id_, call_id)

    def show_data(self, name: str, data: Any, id_: str | None = None) -> None:
        """Show data of the application, or a part that it made itself."""
        is_part = isinstance(data, Part.__args__)
        self.answer.parts.append(data if is_part else Data(name=name, data=json_value(data), id=id_))

    def read_event(self, event: Mapping[str, Any]) -> None:
        """Read an event of ``astream_events``."""
        handler = self.EVENTS.get(event["event"])
        if handler is not None:
            handler(self, event, event.get("data") or {})

    def _on_model(self, event: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        message = data.get("chunk") or data.get("output")
        if field(message, "type") in ("AIMessageChunk", "ai"):
            self.read_message(message)

    def _on_tool_end(self, event: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        output = data.get("output")
        # A tool that returns a `Command` has its message there.
        messages = [output] if field(output, "type") == "tool" else messages_of(field(output, "update"))
        for message in messages:
            self.read_message(message)

    def _on_tool_error(self, event: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        error, call_id = data.get("error"), data.get("tool_call_id")
        if call_id is None:
            return
        if type(error).__name__ == "GraphInterrupt":
            for interrupt in cast("Any", error).args[0]:
                self.answer.show_calls()
                self.show_interrupt(interrupt, str(call_id))
        else:
            self.answer.output_error(str(call_id), str(event.get("name") or ""), str(error))

    def _on_chain_stream(self, event: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        chunk = data.get("chunk")
        if isinstance(chunk, Mapping) and INTERRUPTS in chunk:
            self.read_interrupts(cast("Mapping[str, Any]", chunk)[INTERRUPTS])

    def _on_custom(self, event: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        self.show_data(str(event.get("name") or self.data_name), event.get("data"))

    EVENTS: ClassVar[Mapping[str, Callable[..., None]]] = {
        "on_chat_model_stream": _on_model,
        "on_chat_model_end": _on_model,
        "on_tool_end": _on_tool_end,
        "on_tool_error": _on_tool_error,
        "on_chain_stream": _on_chain_stream,
        "on_custom_event": _on_custom,
    }


def read_tuple(item: Any) -> tuple[str | None, Any]:
    """Return the mode, if it is named, and the data: of a graph in several modes, with subgraphs, or both."""
    if not isinstance(item, tuple):
        return None, item
    values = cast("tuple[Any, ...]", item)
    match values:
        case (_, mode, data):
            return mode, data
        case (str() as mode, data) if mode in MODES:
            return mode, data
        case (tuple(), data):
            return None, data
        case _:
            return None, values


def guess_mode(item: Any) -> str:
    """Return the mode of an item that does not tell it."""
    if isinstance(item, tuple):
        return "messages"
    if not isinstance(item, Mapping):
        return "values" if hasattr(item, "messages") else "custom"
    known = cast("Mapping[str, Any]", item)
    return "values" if isinstance(known.get("messages"), list) else "updates"


def messages_of(value: Any) -> Sequence[Any]:
    """Return the messages in a state, or in what a node has written."""
    found: Any = field(value, "messages")
    return () if found is None else listed(found)


def listed(value: Any) -> Sequence[Any]:
    """Return a list as it is, and any other value as the one item of a list."""
    return cast("Sequence[Any]", value) if isinstance(value, list | tuple) else (value,)


def usage_of(usage: Any) -> Usage | None:
    """Return LangChain's usage as ours."""
    if usage is None:
        return None
    into, out = field(usage, "input_token_details"), field(usage, "output_token_details")
    return known_usage(
        field(usage, "input_tokens"),
        field(usage, "output_tokens"),
        cache_read=field(into, "cache_read"),
        cache_write=field(into, "cache_creation"),
        reasoning=field(out, "reasoning"),
    )
