"""`stream_object` and `generate_object`, asked through the real client of a stand-in for the Messages API."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.conformance.replies import call, said, text
from usechat import CompletionRequest, ObjectFinishEvent, generate_object, stream_object
from usechat.answers.objects.partial import GrowingValue
from usechat.answers.objects.shape import make_shape
from usechat.errors import ConfigurationError, NoObjectGeneratedError, ProviderError
from usechat.models import anthropic
from usechat.parts import FinishReason, TextDelta
from usechat.testing.replay import ReplayServer, Reply

pytestmark = pytest.mark.anyio

SOUP = {"title": "Soup", "items": ["water", "salt"]}
TIDES = '{"elements":[{"port":"Whitby"}, {"port": "Dover", "more": 1}]}'


class Recipe(BaseModel):
    title: str
    items: list[str]


class Tide(BaseModel):
    port: str


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def server() -> AsyncIterator[ReplayServer]:
    replies: dict[str, Reply] = {}
    async with ReplayServer(lambda request: replies[request.json["messages"][0]["content"][0]["text"]]) as started:
        REPLIES[started] = replies
        yield started


REPLIES: dict[ReplayServer, dict[str, Reply]] = {}


def ask(server: ReplayServer, reply: Reply, *, model: str = "claude-sonnet-4-6", **options: Any) -> Any:
    prompt = f"question {len(REPLIES[server])}"
    REPLIES[server][prompt] = reply
    chosen = anthropic(model, base_url=server.url, api_key="none")
    given: dict[str, Any] = {"schema": Recipe, **options}
    return stream_object(chosen, prompt=prompt, max_retries=0, **given)


def arrays(**options: Any) -> dict[str, Any]:
    return {"output": "array", "schema": Tide, **options}


def enums(*values: str) -> dict[str, Any]:
    return {"output": "enum", "schema": None, "enum": values or ("sunny", "sunset", "rain")}


async def shown(result: Any) -> str:
    """What ``useObject`` reads."""
    return "".join([part.delta async for part in result if isinstance(part, TextDelta)])


# The value


async def test_a_pydantic_schema_gives_its_instance(server: ReplayServer):
    assert await ask(server, said(text(json.dumps(SOUP)))).object == Recipe(title="Soup", items=["water", "salt"])


async def test_a_json_schema_gives_json(server: ReplayServer):
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}
    assert await ask(server, said(text(json.dumps(SOUP))), schema=schema).object == SOUP


async def test_an_array_gives_checked_elements(server: ReplayServer):
    assert await ask(server, said(text(TIDES)), **arrays()).object == [Tide(port="Whitby"), Tide(port="Dover")]


async def test_an_enum_gives_one_of_its_values(server: ReplayServer):
    assert await ask(server, said(text('{"result":"rain"}')), **enums()).object == "rain"


async def test_without_a_schema_any_json_will_do(server: ReplayServer):
    result = ask(server, said(text("[1, null]")), output="no-schema", schema=None)
    assert await result.object == [1, None]
    assert {"output_config", "tools"}.isdisjoint(server.requests[-1].json)


async def test_generate_object_gives_the_value_with_what_it_cost(server: ReplayServer):
    REPLIES[server]["soup"] = said(text(json.dumps(SOUP)))
    model = anthropic("claude-sonnet-4-6", base_url=server.url, api_key="none")
    finished = await generate_object(model, schema=Recipe, prompt="soup")
    assert finished.object == Recipe(title="Soup", items=["water", "salt"])
    assert (finished.usage.output, finished.finish_reason) == (17, FinishReason("stop", "end_turn"))


# How it is asked for


async def test_a_model_with_native_structured_output_gets_the_schema(server: ReplayServer):
    await ask(server, said(text(json.dumps(SOUP)))).object
    asked = server.requests[-1].json
    assert asked["output_config"]["format"]["type"] == "json_schema"
    assert asked["output_config"]["format"]["schema"]["properties"].keys() == {"title", "items"}
    assert "tools" not in asked


async def test_an_older_model_is_made_to_call_a_tool(server: ReplayServer):
    reply = said(text("Here you go: "), call("json", SOUP, id="toolu_1"), stop="tool_use")
    result = ask(server, reply, model="claude-3-haiku-20240307")
    assert await result.object == Recipe(title="Soup", items=["water", "salt"])
    assert result.final.finish_reason.unified == "stop"
    asked = server.requests[-1].json
    assert asked["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert [tool["name"] for tool in asked["tools"]] == ["json"]


async def test_text_before_the_forced_call_does_not_reach_the_client(server: ReplayServer):
    reply = said(text("Here you go: "), call("json", SOUP, id="toolu_1"), stop="tool_use")
    assert json.loads(await shown(ask(server, reply, model="claude-3-haiku-20240307"))) == SOUP


async def test_a_model_that_thinks_cannot_be_forced_and_may_answer_in_text(server: ReplayServer):
    options: dict[str, Any] = {
        "provider_options": {"anthropic": {"thinking": {"type": "enabled", "budgetTokens": 1024}}}
    }
    result = ask(server, said(text(json.dumps(SOUP))), model="claude-sonnet-4-20250514", **options)
    assert await result.object == Recipe(title="Soup", items=["water", "salt"])
    assert server.requests[-1].json["tool_choice"]["type"] == "auto"


async def test_an_elements_definitions_stay_at_the_root():
    class Port(BaseModel):
        tide: Tide

    asked = make_shape("array", Port, None).asked
    assert asked is not None
    assert asked["$defs"].keys() == {"Tide"}
    items = asked["properties"]["elements"]["items"]
    assert items["properties"]["tide"] == {"$ref": "#/$defs/Tide"}
    assert "$defs" not in items
    assert (asked["additionalProperties"], items["additionalProperties"]) == (False, False)


@pytest.mark.parametrize(
    "options",
    [
        {"schema": None},
        {"output": "array", "schema": None},
        {"output": "enum", "schema": None},
        {"output": "enum", "schema": None, "enum": []},
        {"output": "enum", "enum": ["a"]},
        {"output": "no-schema"},
        {"enum": ["a"]},
        {"schema": object()},
    ],
)
async def test_arguments_that_contradict_each_other_are_refused(options: dict[str, Any]):
    given: dict[str, Any] = {"schema": Recipe, **options}
    with pytest.raises(ConfigurationError):
        stream_object(anthropic("claude-sonnet-4-6", api_key="none"), prompt="soup", **given)


# What goes wrong


@pytest.mark.parametrize(
    ("reply", "options", "why"),
    [
        (said(text("I would rather not.")), {}, "The model's text is not JSON."),
        (
            said(text('{"title": "So'), stop="max_tokens"),
            {},
            "The model ran out of tokens before its JSON was complete.",
        ),
        (said(text("No."), stop="refusal"), {}, "The model refused."),
        (said(text('{"title": 5}')), {}, "The model's JSON does not fit: title: "),
        (said(text("[]")), arrays(), "The model's JSON does not fit: elements is missing"),
        (said(text('{"elements":[{"port":1}]}')), arrays(), "The model's JSON does not fit: port: "),
        (said(text('{"result":"fog"}')), enums(), "The model's JSON does not fit: the result is none of the values"),
        (said(text('{"result":["rain"]}')), enums(), "The model's JSON does not fit: result is missing"),
    ],
)
async def test_what_is_not_the_object_is_told_with_the_text(
    server: ReplayServer, reply: Reply, options: dict[str, Any], why: str
):
    finished: list[ObjectFinishEvent] = []
    result = ask(server, reply, on_finish=finished.append, **options)
    with pytest.raises(NoObjectGeneratedError) as caught:
        await result.object
    assert caught.value.message.startswith(why)
    assert caught.value.text == await result.text
    assert caught.value.finish_reason == result.final.finish_reason.unified
    assert [(event.object, event.error) for event in finished] == [(None, caught.value)]


async def test_a_failing_model_is_told_as_such(server: ReplayServer):
    finished: list[ObjectFinishEvent] = []
    result = ask(server, Reply(status=529), on_finish=finished.append)
    with pytest.raises(ProviderError):
        await result.object
    assert isinstance(finished[0].error, ProviderError)


async def test_a_reader_that_leaves_is_told_to_on_finish(server: ReplayServer):
    finished: list[ObjectFinishEvent] = []
    result = ask(server, said(text('{"title"', ': "Soup"'), hold_after=4), on_finish=finished.append)
    async for _ in result.partial_objects():
        break
    await result.aclose()
    assert [(event.is_aborted, event.object) for event in finished] == [(True, None)]
    await server.requests[-1].wait_async()
    assert server.requests[-1].is_aborted


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_broken_text_can_be_repaired_once(server: ReplayServer, is_async: bool):
    seen: list[tuple[str, str]] = []

    def repair(broken: str, error: NoObjectGeneratedError) -> str:
        seen.append((broken, error.message))
        return broken + "}"

    async def repair_later(broken: str, error: NoObjectGeneratedError) -> str:
        return repair(broken, error)

    finished: list[ObjectFinishEvent] = []
    broken = json.dumps(SOUP)[:-1]
    options: Any = {"repair_text": repair_later if is_async else repair, "on_finish": finished.append}
    result = ask(server, said(text(broken)), **options)
    assert await result.object == Recipe(title="Soup", items=["water", "salt"])
    assert seen == [(broken, "The model's text is not JSON.")]
    assert finished[0].object == await result.object


def no_repair(broken: str, error: NoObjectGeneratedError) -> None:
    """Cannot mend it."""


async def test_a_repair_that_gives_nothing_leaves_the_error(server: ReplayServer):
    with pytest.raises(NoObjectGeneratedError, match="not JSON"):
        await ask(server, said(text("soup")), repair_text=no_repair).object


# What useObject reads


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            said(text('{"elements": [ {"port":', '"Whitby"}, {"port": "Dover"} ]', "}")),
            '[{"port":"Whitby"},{"port":"Dover"}]',
        ),
        (said(text('{"elements":[]}')), "[]"),
        (said(text('{"elements":[{"port":"Whitby"},{"po'), stop="max_tokens"), '[{"port":"Whitby"}'),
        (said(text('{"elements":[{"port":5}]}')), '[{"port":5}]'),
    ],
)
async def test_an_array_is_shown_without_the_object_around_it(server: ReplayServer, reply: Reply, expected: str):
    assert await shown(ask(server, reply, **arrays())) == expected


async def test_the_response_is_the_text_alone(server: ReplayServer):
    result = ask(server, said(text(json.dumps(SOUP))))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await result.done.wait()
        return {"type": "http.disconnect"}

    request = CompletionRequest.__origin__.model_validate({"prompt": "soup"})  # type: ignore[attr-defined]
    await result.response(request)({"type": "http", "method": "POST", "headers": []}, receive, send)
    assert (b"content-type", b"text/plain; charset=utf-8") in sent[0]["headers"]
    assert json.loads(b"".join(message.get("body", b"") for message in sent)) == SOUP


# While it grows


async def test_an_object_is_shown_as_it_grows(server: ReplayServer):
    result = ask(server, said(text('{"title": "So', 'up", "items": ["wa', 'ter"', "]}")))
    seen = [value async for value in result.partial_objects()]
    assert seen[-1] == {"title": "Soup", "items": ["water"]}
    growing: list[Any] = [
        {"title": "So"},
        {"title": "Soup", "items": ["wa"]},
        {"title": "Soup", "items": ["water"]},
    ]
    # One read of the connection may bring several pieces.
    assert [value for value in growing if value in seen] == seen


GROWTHS: list[tuple[dict[str, Any], list[str], list[Any]]] = [
    (
        {"output": "object", "schema": Recipe},
        ['{"title"', ': "So', "up", '"}'],
        [{}, {"title": "So"}, {"title": "Soup"}],
    ),
    (
        arrays(),
        ['[{"port":"Whi', 'tby"},', '{"port":"Dover"}]'],
        [[Tide(port="Whitby")], [Tide(port="Whitby"), Tide(port="Dover")]],
    ),
    (arrays(), ['[{"port":"Whitby"},{"port":1},', '{"port":"Dover"}]'], [[Tide(port="Whitby")]]),
    (arrays(), ["[", "]"], [[]]),
    (enums(), ['{"result":"', "su", "nn", 'y"}'], ["su", "sunny"]),
    (enums(), ['{"result":"fo', 'g"}'], []),
    (enums(), ["[1]"], []),
]


@pytest.mark.parametrize(("options", "pieces", "values"), GROWTHS)
async def test_a_value_grows_with_its_text(options: dict[str, Any], pieces: list[str], values: list[Any]):
    value = GrowingValue(make_shape(options["output"], options["schema"], options.get("enum")))
    seen: list[Any] = []
    for piece in pieces:
        value.feed(piece)
        if value.has_changed():
            seen.append(value.shown)
    assert (seen, value.has_changed(is_last=True)) == (values, False)


@pytest.mark.no_cover
@pytest.mark.parametrize("output", ["object", "array"])
async def test_a_long_value_costs_linear_time_and_is_shown_whole(output: Literal["object", "array"]):
    def seconds(count: int) -> float:
        start = time.process_time()
        value = GrowingValue(make_shape(output, dict[str, list[str]] if output == "object" else str, None))
        value.feed('{"items":[' if output == "object" else "[")
        for number in range(count):
            value.feed(f'{"," if number else ""}"item {number:06}"')
            value.has_changed()
        value.feed("]}" if output == "object" else "]")
        value.has_changed(is_last=True)
        assert len(value.shown["items"] if output == "object" else value.shown) == count
        return time.process_time() - start

    seconds(500)
    # Once in three times is enough: what else the machine does adds to the time of each.
    assert any(seconds(4000) < 40 * max(seconds(500), 0.01) for _ in range(3))


async def test_elements_come_one_by_one(server: ReplayServer):
    assert [element async for element in ask(server, said(text(TIDES)), **arrays()).elements()] == [
        Tide(port="Whitby"),
        Tide(port="Dover"),
    ]


async def test_an_element_that_does_not_fit_ends_the_elements(server: ReplayServer):
    result = ask(server, said(text('{"elements":[{"port":"Whitby"},{"port":1}]}')), **arrays())
    seen: list[Any] = []

    async def read() -> None:
        async for element in result.elements():
            seen.append(element)  # noqa: PERF401 - the list is wanted although the loop raises

    with pytest.raises(NoObjectGeneratedError, match="An element does not fit: port"):
        await read()
    assert seen == [Tide(port="Whitby")]


async def test_only_an_array_has_elements(server: ReplayServer):
    with pytest.raises(ConfigurationError, match="array"):
        await anext(ask(server, said()).elements())


async def test_the_end_of_a_long_object_is_shown_even_when_it_has_hardly_grown(server: ReplayServer):
    items = [f"item {number:04}" for number in range(600)]
    pieces = [json.dumps({"title": "Soup", "items": items})[:-8], 'st"]}']
    result = ask(server, said(text(*pieces), delay=0.02))
    *_, last = [value async for value in result.partial_objects()]
    assert last["items"][-1].endswith("st")
    assert len(last["items"]) == 600


async def test_on_finish_may_wait(server: ReplayServer):
    finished: list[Any] = []

    async def note(event: ObjectFinishEvent) -> None:
        finished.append(event.object)

    result = ask(server, said(text(json.dumps(SOUP))), on_finish=note)
    assert await result.object == Recipe(title="Soup", items=["water", "salt"])
    await result.aclose()
    assert finished == [await result.object]
