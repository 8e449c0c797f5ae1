"""The demo's script: from a conversation to the events of its answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usechat.demo.events import answer_events
from usechat.demo.script import TOPICS

Json = dict[str, Any]

TOOLS: list[Json] = [
    *(
        {"name": name, "input_schema": {}}
        for name in ("get_weather", "show_progress", "show_chart", "draw_picture", "send_email")
    ),
    {"type": "web_search_20250305", "name": "web_search"},
]
RESULTS = {
    "get_weather": '{"city": "Lisbon", "temperature": 21, "sky": "sunny"}',
    "show_progress": '{"steps": 5}',
    "show_chart": '{"warmest": {"Lisbon": 23, "Oslo": 9}}',
    "draw_picture": '{"drawn": "hills at sunset"}',
    "send_email": '{"status": "sent", "note": "Nothing left."}',
}
DELTA_OF = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
    "server_tool_use": {"input_json_delta"},
    "web_search_tool_result": set[str](),
}


def request(*messages: Any, tools: Iterable[Json] = TOOLS) -> Json:
    """A request with these messages: strings are the user's words, lists the assistant's and the user's in turn."""
    return {
        "model": "usechat-demo",
        "tools": list(tools),
        "messages": [
            {"role": "user", "content": message} if isinstance(message, str) else message for message in messages
        ],
    }


def tool_turn(name: str, content: Any, *, is_error: bool = False) -> list[Json]:
    """A call of a tool and its result."""
    return [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": name, "input": {}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "content": content, "is_error": is_error}],
        },
    ]


def text_of(events: Iterable[Json]) -> str:
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    return "".join(delta.get("text", "") for delta in deltas)


def blocks_of(events: Iterable[Json]) -> list[Json]:
    return [event["content_block"] for event in events if event["type"] == "content_block_start"]


def answer(*messages: Any, tools: Iterable[Json] = TOOLS) -> list[Json]:
    return list(answer_events(request(*messages, tools=tools)))


def assert_order(events: list[Json]) -> None:
    """What Anthropic's streams keep to: one block at a time, each with its own deltas, one end."""
    assert events[0]["type"] == "message_start"
    open_block: str | None = None
    index = -1
    for event in events[1:]:
        match event["type"]:
            case "content_block_start":
                assert open_block is None
                index += 1
                assert event["index"] == index
                open_block = event["content_block"]["type"]
            case "content_block_delta":
                assert event["index"] == index
                assert event["delta"]["type"] in DELTA_OF[open_block or ""]
            case "content_block_stop":
                assert (event["index"], open_block is None) == (index, False)
                open_block = None
            case "message_delta":
                assert open_block is None
            case _:
                pass
    types = [event["type"] for event in events]
    if types[-1] == "error":
        assert "message_delta" not in types
        assert "message_stop" not in types
    else:
        assert types[-2:] == ["message_delta", "message_stop"]
        assert types.count("message_delta") == 1


@pytest.mark.parametrize("words", [*TOPICS, "hello", "", "TOUR!", "what is 2 + 2?"])
def test_events_of_every_topic_are_in_order(words: str) -> None:
    assert_order(answer(words))


@pytest.mark.parametrize(
    ("words", "blocks", "stop_reason"),
    [
        ("hello", ["text"], "end_turn"),
        ("markdown please", ["text"], "end_turn"),
        ("show me your thinking", ["thinking", "text"], "end_turn"),
        ("a long one", ["text"], "end_turn"),
        (
            "search the web",
            ["text", "server_tool_use", "web_search_tool_result", "text", "text", "text"],
            "end_turn",
        ),
        ("what is the weather?", ["text", "tool_use"], "tool_use"),
        ("an approval", ["text", "tool_use"], "tool_use"),
        ("draw", ["text", "tool_use"], "tool_use"),
        ("data", ["text", "tool_use"], "tool_use"),
    ],
)
def test_topic_has_its_blocks(words: str, blocks: list[str], stop_reason: str) -> None:
    events = answer(words)
    assert [block["type"] for block in blocks_of(events)] == blocks
    assert events[-2]["delta"]["stop_reason"] == stop_reason


@pytest.mark.parametrize(
    ("words", "tool"),
    [
        ("tool", "get_weather"),
        ("approval", "send_email"),
        ("file", "draw_picture"),
        ("chart", "show_chart"),
        ("data", "show_progress"),
    ],
)
def test_tool_input_is_whole_json(words: str, tool: str) -> None:
    events = answer(words)
    assert blocks_of(events)[-1]["name"] == tool
    text = "".join(event["delta"].get("partial_json", "") for event in events if "delta" in event)
    assert isinstance(json.loads(text), dict)


@pytest.mark.parametrize(
    ("words", "tool", "given"),
    [
        ("weather", "get_weather", {"city": "Lisbon"}),
        ("What is the weather in Bergen?", "get_weather", {"city": "Bergen"}),
        ("Weather in New York, please", "get_weather", {"city": "New York"}),
        ("Is the weather in order?", "get_weather", {"city": "Lisbon"}),
        ("The weather in - ?", "get_weather", {"city": "Lisbon"}),
        ("Draw a chart of the weather", "show_chart", {"cities": ["Lisbon", "Oslo"]}),
        ("Draw me a cat", "draw_picture", {"subject": "hills at sunset"}),
    ],
)
def test_tool_is_called_for_what_was_asked(words: str, tool: str, given: Json) -> None:
    events = answer(words)
    assert blocks_of(events)[-1]["name"] == tool
    text = "".join(event["delta"].get("partial_json", "") for event in events if "delta" in event)
    assert json.loads(text) == given


@pytest.mark.parametrize(
    ("words", "tool", "result", "said"),
    [
        ("tool", "get_weather", RESULTS["get_weather"], "In **Lisbon** it is 21 °C and sunny."),
        ("tool", "get_weather", [{"type": "text", "text": RESULTS["get_weather"]}], "it is 21 °C"),
        ("tool", "get_weather", "cold", "The tool answered: cold"),
        ("tool", "get_weather", "[1]", "The tool answered: [1]"),
        ("data", "show_progress", RESULTS["show_progress"], "progress 5 times"),
        ("file", "draw_picture", RESULTS["draw_picture"], "There it is: hills at sunset"),
        ("approval", "send_email", RESULTS["send_email"], "You agreed, so the tool ran. Nothing left."),
        ("approval", "send_email", "Tool call execution denied.", "did not run. What I was told: “Tool call execution"),
        ("approval", "send_email", "Not today", "“Not today”"),
    ],
)
def test_answer_goes_on_behind_the_result(words: str, tool: str, result: Any, said: str) -> None:
    events = answer(words, *tool_turn(tool, result))
    assert_order(events)
    assert said in text_of(events)
    assert events[-2]["delta"]["stop_reason"] == "end_turn"


def test_failed_tool_is_told() -> None:
    assert "The call of `get_weather` failed: boom" in text_of(
        answer("tool", *tool_turn("get_weather", "boom", is_error=True))
    )


def test_new_words_end_the_old_topic() -> None:
    events = answer("tool", *tool_turn("get_weather", "cold"), "reasoning")
    assert [block["type"] for block in blocks_of(events)] == ["thinking", "text"]


def test_words_beside_a_result_win() -> None:
    call, result = tool_turn("send_email", "Tool call execution denied.")
    result["content"].append({"type": "text", "text": "hello"})
    assert text_of(answer("approval", call, result)).startswith("Hello!")


def sent(*blocks: Json) -> Json:
    return {"role": "user", "content": list(blocks)}


PICTURE: Json = {"type": "image", "source": {"type": "url", "url": "https://a.b/c.png"}}


@pytest.mark.parametrize("words", ["", "What is in this picture?", "What does the image show?"])
def test_picture_is_no_wish_for_one(words: str) -> None:
    question = sent(PICTURE, *([{"type": "text", "text": words}] if words else []))
    events = answer("tool", *tool_turn("get_weather", "cold"), question)
    assert text_of(events).startswith("You sent a picture along, which a script cannot look at.")
    assert [block["type"] for block in blocks_of(events)] == ["text"]


def test_topic_goes_on_behind_the_files_that_came_with_it() -> None:
    notes = {"type": "document", "title": "notes.md", "source": {"type": "text", "data": "The picture of a file"}}
    question = sent(notes, PICTURE, PICTURE, {"type": "text", "text": "What is the weather in this picture?"})
    events = answer(question)
    assert text_of(events).startswith("You sent the file “notes.md” and a picture along")
    assert blocks_of(events)[-1]["name"] == "get_weather"
    assert "it is 21 °C" in text_of(answer(question, *tool_turn("get_weather", RESULTS["get_weather"])))


def test_picture_of_an_earlier_question_is_not_told_again() -> None:
    assert text_of(answer(sent(PICTURE), {"role": "assistant", "content": "Hm"}, "hello")).startswith("Hello!")


def test_tool_that_is_not_offered_is_not_called() -> None:
    for words in ("tool", "approval", "file", "chart", "data", "sources", "tour"):
        events = answer(words, tools=())
        assert {block["type"] for block in blocks_of(events)} <= {"text", "thinking"}
        assert "this application does not offer" in text_of(events)


def test_error_breaks_off_in_the_middle_of_a_block() -> None:
    events = answer("error")
    assert events[-1] == {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert events[-2]["type"] == "content_block_delta"


def test_tour_shows_everything() -> None:
    messages: list[Any] = ["tour"]
    seen: list[str] = []
    calls: list[str] = []
    while True:
        events = answer(*messages)
        assert_order(events)
        seen += [block["type"] for block in blocks_of(events)]
        if events[-1]["type"] == "error":
            break
        calls.append(blocks_of(events)[-1]["name"])
        messages += tool_turn(calls[-1], RESULTS[calls[-1]])
    assert calls == ["get_weather", "show_progress", "show_chart", "draw_picture", "send_email"]
    assert set(seen) == set(DELTA_OF)


def test_citations_name_a_hit_of_the_search() -> None:
    events = answer("sources")
    result = next(block for block in blocks_of(events) if block["type"] == "web_search_tool_result")
    urls = {hit["url"] for hit in result["content"]}
    cited = [event["delta"]["citation"]["url"] for event in events if "citation" in event.get("delta", {})]
    assert len(cited) == 2
    assert set(cited) <= urls


def test_reasoning_is_signed() -> None:
    signatures = [event["delta"]["signature"] for event in answer("reasoning") if "signature" in event.get("delta", {})]
    assert len(signatures) == 1
    assert len(signatures[0]) > 40


def test_same_conversation_gets_the_same_answer() -> None:
    assert answer("tour") == answer("tour")


def test_ids_differ_between_conversations() -> None:
    first = answer("tool")
    second = answer("hi", {"role": "assistant", "content": "Hello"}, "tool")
    assert first[0]["message"]["id"] != second[0]["message"]["id"]
    assert blocks_of(first)[-1]["id"] != blocks_of(second)[-1]["id"]


def test_long_answer_is_long_enough_to_stop() -> None:
    assert sum(event["type"] == "content_block_delta" for event in answer("long")) > 500


TEXTS = st.fixed_dictionaries({"type": st.just("text"), "text": st.sampled_from([*TOPICS, "hm"])})
TOOL_RESULTS = st.fixed_dictionaries(
    {
        "type": st.just("tool_result"),
        "tool_use_id": st.just("t"),
        "content": st.sampled_from([*RESULTS.values(), "no", "[]"]),
        "is_error": st.booleans(),
    }
)
IMAGES = st.fixed_dictionaries({"type": st.just("image"), "source": st.just("picture")})
MESSAGES = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant"]),
        "content": st.one_of(st.text(), st.lists(st.one_of(TEXTS, TOOL_RESULTS, IMAGES))),
    }
)


@given(st.lists(MESSAGES))
def test_any_conversation_gets_a_legal_answer(messages: list[Mapping[str, Any]]) -> None:
    assert_order(answer(*messages))
