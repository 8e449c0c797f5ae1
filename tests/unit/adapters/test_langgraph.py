"""LangGraph's streams, of real graphs with a scripted chat model."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph  # pyright: ignore[reportMissingTypeStubs]
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, interrupt

from tests.unit.adapters.answers import answered, parts_of, texts_of
from usechat.adapters import from_langgraph, read_decisions
from usechat.messages.ui import UIMessage
from usechat.parts import Data, FinishReason

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Scripted(BaseChatModel):
    """A chat model that answers each call with the next turn."""

    turns: list[Any]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _next(self) -> Sequence[AIMessageChunk]:
        turn = self.turns.pop(0)
        if isinstance(turn, Exception):
            raise turn
        return turn

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        first, *rest = self._next()
        whole = first
        for chunk in rest:
            whole += chunk
        names = ("content", "tool_calls", "invalid_tool_calls", "id", "usage_metadata", "response_metadata")
        return ChatResult(generations=[ChatGeneration(message=AIMessage(**{n: getattr(whole, n) for n in names}))])

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._next():
            generation = ChatGenerationChunk(message=chunk)
            if run_manager:
                await run_manager.on_llm_new_token("", chunk=generation)
            yield generation


@tool
def get_tide(port: str) -> dict[str, int]:
    """The tide."""
    if port == "nowhere":
        raise ValueError("no such port")
    get_stream_writer()({"progress": 1})
    return {"metres": 3}


@tool
def sail(port: str) -> str:
    """Sail, if one may."""
    return f"sailed: {interrupt({'question': 'Sail?'})}"


def call(name: str, args: str, id_: str, index: int = 0) -> list[AIMessageChunk]:
    half = len(args) // 2
    head: Any = {"name": name, "args": args[:half], "id": id_, "index": index, "type": "tool_call_chunk"}
    tail: Any = {"name": None, "args": args[half:], "id": None, "index": index, "type": "tool_call_chunk"}
    return [AIMessageChunk(content="", id="m1", tool_call_chunks=[each]) for each in (head, tail)]


def said(*texts: str, id_: str = "m2") -> list[AIMessageChunk]:
    return [AIMessageChunk(content=text, id=id_) for text in texts]


LAST = AIMessageChunk(
    content="",
    id="m1",
    usage_metadata={
        "input_tokens": 10,
        "output_tokens": 4,
        "total_tokens": 14,
        "input_token_details": {"cache_read": 6},
        "output_token_details": {"reasoning": 1},
    },
    response_metadata={"finish_reason": "tool_calls", "model_name": "x-1"},
    chunk_position="last",
)
LOOK = [
    AIMessageChunk(content=[{"type": "thinking", "thinking": "Hm.", "index": 0}], id="m1"),
    *said("I ", "look. ", id_="m1"),
    *call("get_tide", '{"port": "Whitby"}', "c1"),
    LAST,
]
ANSWER = said("Three ", "metres.")
CONFIG: Any = {"configurable": {"thread_id": "1"}}


def graph_of(*turns: Any) -> Any:
    model = Scripted(turns=list(turns))

    async def agent(state: MessagesState):
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph: Any = StateGraph(MessagesState)
    graph.add_node("agent", agent)
    graph.add_node("tools", ToolNode([get_tide, sail], handle_tool_errors=True))
    graph.add_edge(START, "agent")
    graph.add_conditional_edges("agent", tools_condition)
    graph.add_edge("tools", "agent")
    return graph.compile(checkpointer=InMemorySaver())


def asked(*earlier: Any) -> dict[str, Any]:
    return {"messages": [*earlier, HumanMessage("The tide?")]}


STREAMS: dict[str, dict[str, Any]] = {
    "messages": {"stream_mode": "messages"},
    "updates": {"stream_mode": "updates"},
    "values": {"stream_mode": "values"},
    "all": {"stream_mode": ["messages", "updates", "values"]},
    "subgraphs": {"stream_mode": ["messages", "updates"], "subgraphs": True},
    "updates of subgraphs": {"stream_mode": "updates", "subgraphs": True},
    "v2": {"stream_mode": ["messages", "values"], "version": "v2"},
}


def stream(graph: Any, how: str, given: Any) -> Any:
    if how == "events":
        return from_langgraph(graph.astream_events(given, CONFIG))
    return from_langgraph(graph.astream(given, CONFIG, **STREAMS[how]))


@pytest.mark.parametrize("how", [*STREAMS, "events"])
async def test_graph_is_shown_in_steps_with_its_text_reasoning_calls_and_usage(how: str):
    event = await answered(lambda: stream(graph_of(LOOK, ANSWER), how, asked()))
    assert event.error is None
    assert texts_of(event) == ["I look. ", "Three metres."]
    assert texts_of(event, "reasoning") == ["Hm."]
    [tide] = parts_of(event, "tool-get_tide")
    assert (tide["state"], tide["input"], tide["output"]) == ("output-available", {"port": "Whitby"}, {"metres": 3})
    assert len(parts_of(event, "step-start")) == 2
    assert event.finish_reason == FinishReason("stop")
    usage = event.usage
    assert (usage.input_no_cache, usage.input_cache_read, usage.output, usage.output_reasoning) == (4, 6, 4, 1)


@pytest.mark.parametrize("how", ["values", "all"])
async def test_messages_of_earlier_answers_are_not_shown(how: str):
    earlier = [HumanMessage("Hi", id="h"), AIMessage("Hello", id="a")]
    event = await answered(lambda: stream(graph_of(ANSWER), how, asked(*earlier)))
    assert texts_of(event) == ["Three metres."]


@pytest.mark.parametrize("how", [*STREAMS, "events"])
async def test_failed_tool_is_a_failed_call(how: str):
    turn = [*call("get_tide", '{"port": "nowhere"}', "c1")]
    event = await answered(lambda: stream(graph_of(turn, ANSWER), how, asked()))
    [tide] = parts_of(event, "tool-get_tide")
    assert tide["state"] == "output-error"
    assert texts_of(event) == ["Three metres."]


@pytest.mark.parametrize("how", ["updates", "values", "all", "subgraphs", "v2", "events"])
async def test_interrupt_asks_for_the_approval_of_its_call_and_the_decision_resumes_the_graph(how: str):
    graphs: list[Any] = []

    def make() -> Any:
        graphs.append(graph_of([*call("sail", '{"port": "Whitby"}', "c2")], ANSWER))
        return stream(graphs[-1], how, asked())

    event = await answered(make)
    [part] = parts_of(event, "tool-sail")
    assert part["state"] == "approval-requested"
    [told] = parts_of(event, "data-interrupt")
    assert told["data"] == {"id": part["approval"]["id"], "value": {"question": "Sail?"}}

    message = json.loads(json.dumps(event.ui_message))
    for each in message["parts"]:
        if each["type"] == "tool-sail":
            each |= {"state": "approval-responded", "approval": {**each["approval"], "approved": True}}
    [decision] = read_decisions([UIMessage.model_validate(message)])
    assert (decision.tool_call_id, decision.tool_name, decision.approved) == ("c2", "sail", True)

    resume: Any = Command(resume={decision.approval_id: "yes"})
    parts = [part async for part in stream(graphs[-1], how, resume)]
    outputs = [part.output for part in parts if type(part).__name__ == "ToolOutputAvailable"]
    assert outputs == ["sailed: yes"]
    assert "".join(getattr(part, "delta", "") for part in parts) == "Three metres."


async def test_answer_after_an_approval_goes_on_in_the_same_message():
    def make() -> Any:
        async def resumed() -> AsyncIterator[Any]:
            graph = graph_of([*call("sail", '{"port": "Whitby"}', "c2")], ANSWER)
            async for _ in graph.astream(asked(), CONFIG):
                pass
            async for part in stream(graph, "subgraphs", Command(resume="yes")):
                yield part

        return resumed()

    event = await answered(make, known_tool_calls=["c2"])
    assert event.error is None
    assert texts_of(event) == ["Three metres."]


async def test_what_a_graph_writes_itself_is_data_or_the_part_that_it_is():
    event = await answered(
        lambda: from_langgraph(
            graph_of(LOOK, ANSWER).astream(asked(), CONFIG, stream_mode="custom"),
            stream_mode="custom",
            data_name="tide",
        )
    )
    assert [part["data"] for part in parts_of(event, "data-tide")] == [{"progress": 1}]

    async def written() -> AsyncIterator[Any]:
        yield "custom", Data(name="own", data=1, id="d")

    event = await answered(lambda: from_langgraph(written()))
    assert [part["data"] for part in parts_of(event, "data-own")] == [1]


@pytest.mark.parametrize("how", [*STREAMS, "events"])
async def test_failure_of_the_graph_is_the_answers_error(how: str):
    event = await answered(lambda: stream(graph_of(LOOK, RuntimeError("down")), how, asked()))
    assert "down" in str(event.error)
    [tide] = parts_of(event, "tool-get_tide")
    assert tide["state"] == "output-available"


async def test_input_that_is_no_json_is_a_broken_call():
    turn = [*call("get_tide", '{"port": ', "c1")]
    event = await answered(lambda: stream(graph_of(turn, ANSWER), "messages", asked()))
    [tide] = parts_of(event, "tool-get_tide")
    assert tide["state"] == "output-error"


async def test_stream_that_is_left_closes_the_graph():
    closed: list[bool] = []

    async def graph_stream() -> AsyncIterator[Any]:
        try:
            while True:
                yield "messages", (AIMessageChunk(content="x", id="m"), {})
        finally:
            closed.append(True)

    parts = from_langgraph(graph_stream())
    await anext(parts)
    await parts.aclose()
    assert closed == [True]
