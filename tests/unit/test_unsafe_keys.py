"""Keys that a client's parser refuses: what has one is refused here or sent without it, in every form and place."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from usechat import UIMessageStreamWriter, generate_object, stream_text, tool, ui_message_stream
from usechat.answers.stop import step_count_is
from usechat.errors import NoObjectGeneratedError, RequestError
from usechat.messages.ui import ChatRequest, parse_chat_request
from usechat.parts import (
    Custom,
    Data,
    File,
    Finish,
    FinishReason,
    FinishStep,
    MessageMetadata,
    Part,
    ReasoningEnd,
    ReasoningStart,
    SourceUrl,
    Start,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputError,
    Usage,
)
from usechat.protocol.dialects import NEWEST, Dialect
from usechat.protocol.encoders import make_encoder
from usechat.protocol.reducer import Reducer
from usechat.server.app import create_app
from usechat.server.settings import Settings
from usechat.testing.models import ScriptedModel, calling_tool, saying
from usechat.unsafe_keys import UnsafeKeyError, find_unsafe_key, refuse_unsafe_keys, without_unsafe_keys

UNSAFE: list[Any] = [
    {"__proto__": {"is_admin": True}},
    {"a": {"__proto__": 1}},
    {"a": [[{"__proto__": None}]]},
    {"constructor": {"prototype": None}},
    {"a": [{"constructor": {"prototype": {}, "other": 1}}]},
]
SAFE: list[Any] = [
    "__proto__",
    {"a": "__proto__", "b": ['"__proto__":']},
    {"prototype": {}},
    {"constructor": "prototype"},
    {"constructor": None},
    {"constructor": ["prototype"]},
    {"constructor": {"a": {"prototype": 1}}},
    {"proto": 1, "__proto": 2, "_proto__": 3},
]
DIALECTS = [*(Dialect(version, exact=True) for version in NEWEST.values()), Dialect(NEWEST[7], exact=False)]
KEYS = st.sampled_from(["a", "constructor", "prototype", "__proto__"])
LEAVES = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", '{"__proto__":1}', "\ud800", "é"])
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
STEP_END = FinishStep(finish_reason=FinishReason("stop"), usage=Usage())


def is_refused(text: str | bytes) -> bool:
    """What ``secureJsonParse`` says of a text, told by its members' names while it is read."""

    class Refused(Exception):  # noqa: N818 - it is a verdict
        pass

    def look(members: list[tuple[str, Any]]) -> dict[str, Any]:
        if any(name == "__proto__" for name, _ in members):
            raise Refused
        found = dict(members)
        if isinstance(made_by := found.get("constructor"), dict) and "prototype" in made_by:
            raise Refused
        return found

    try:
        json.loads(text, object_pairs_hook=look)
    except Refused:
        return True
    return False


def frames_of(body: bytes) -> list[str]:
    """The JSON texts of a body: of its events, or of AI SDK 4's lines."""
    if b"data: " in body:
        found = [line.removeprefix("data: ") for line in body.decode().split("\n") if line.startswith("data: ")]
        return [text for text in found if text != "[DONE]"]
    return [line.partition(":")[2] for line in body.decode().split("\n") if line]


def parts_with(value: Any) -> list[Part]:
    """An answer that has the value wherever a part can hold one."""
    metadata = {"anthropic": {"it": value}}
    call: dict[str, Any] = {"tool_call_id": "t1", "tool_name": "get"}
    return [
        Start(message_metadata={"it": value}),
        StartStep(),
        TextStart("0", metadata),
        TextDelta("0", "Hello", metadata),
        TextEnd("0", metadata),
        ReasoningStart("1", metadata),
        ReasoningEnd("1", metadata),
        SourceUrl(source_id="s", url="https://example.com", provider_metadata=metadata),
        File(media_type="text/plain", url="data:text/plain;base64,QQ==", provider_metadata=metadata),
        Custom("anthropic.it", metadata),
        Data(name="it", data=value),
        MessageMetadata({"more": value}),
        ToolInputStart(**call, provider_metadata=metadata, tool_metadata={"it": value}),
        ToolInputDelta("t1", '{"__proto__": {"a"'),
        ToolInputAvailable(**call, input={"it": value}, provider_metadata=metadata),
        ToolOutputAvailable(**call, output=value, provider_metadata=metadata, tool_metadata={"it": value}),
        msgspec.structs.replace(STEP_END, usage=Usage(raw={"it": value})),
        Finish(finish_reason=FinishReason("stop"), total_usage=Usage(), message_metadata={"end": value}),
    ]


@pytest.mark.parametrize("value", UNSAFE)
def test_unsafe_key_is_found_and_taken_out(value: Any):
    text = json.dumps(value)

    assert is_refused(text)
    with pytest.raises(UnsafeKeyError):
        refuse_unsafe_keys(text, value)
    assert find_unsafe_key(without_unsafe_keys(value)) is None


@pytest.mark.parametrize("value", SAFE)
def test_what_only_looks_like_an_unsafe_key_stays(value: Any):
    text = json.dumps(value)

    assert not is_refused(text)
    assert refuse_unsafe_keys(text, value) is value
    assert refuse_unsafe_keys(text.encode(), value) is value
    assert without_unsafe_keys(value) == value


@given(VALUES)
def test_rule_is_that_of_the_clients_parser(value: Any):
    assert (find_unsafe_key(value) is not None) == is_refused(json.dumps(value))
    assert find_unsafe_key(without_unsafe_keys(value)) is None


def test_letters_that_are_escaped_are_seen():
    text = r'{"\u005f_pr\u006fto_\u005F": 1}'
    with pytest.raises(UnsafeKeyError, match="has the key __proto__,"):
        refuse_unsafe_keys(text, json.loads(text))
    with pytest.raises(UnsafeKeyError):
        refuse_unsafe_keys(text.encode(), json.loads(text))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [0, {"b": {"__proto__": 1}}]}, "a[1].b.__proto__"),
        ([{"constructor": {"prototype": 1}}], "[0].constructor.prototype"),
        ({"x" * 1000: {"\ud800": {"__proto__": 1}}}, "........__proto__"),
    ],
)
def test_path_names_the_key_and_repeats_nothing_long(value: Any, path: str):
    assert find_unsafe_key(value) == path


def test_deep_nesting_is_looked_through_and_its_path_is_short():
    value: Any = {"__proto__": 1}
    for _ in range(50_000):
        value = [value]
    path = find_unsafe_key(value)

    assert path is not None
    assert len(path) < 200
    assert without_unsafe_keys([value]) != []


@pytest.mark.parametrize("dialect", DIALECTS, ids=str)
@pytest.mark.parametrize("wire_format", [None, "events"])
@given(value=st.sampled_from(UNSAFE) | VALUES)
def test_no_frame_and_no_saved_message_is_one_that_a_client_refuses(dialect: Dialect, wire_format: Any, value: Any):
    parts = parts_with(value)
    encoder = make_encoder(wire_format, dialect)
    body = encoder.feed_all(parts) + encoder.finish()
    reducer = Reducer(dialect=dialect)
    reducer.feed_all(parts)
    texts = frames_of(body)

    assert texts
    assert not any(is_refused(text) for text in texts)
    assert not is_refused(json.dumps(reducer.message()))


def test_other_keys_stay_and_the_log_tells_which_was_left_out(caplog: pytest.LogCaptureFixture):
    encoder = make_encoder("ui-message-stream", DIALECTS[-1])
    with caplog.at_level(logging.ERROR):
        body = encoder.feed(Data(name="tide", data={"height": 3, "more": [{"__proto__": 1, "b": 2}]}))

    assert body == b'data: {"type":"data-tide","data":{"height":3,"more":[{"b":2}]}}\n\n'
    assert "left out the key more[0].__proto__" in caplog.text


@pytest.mark.parametrize("saved", [False, True])
def test_input_that_is_still_arriving_has_no_unsafe_value(saved: bool):
    reducer = Reducer()
    reducer.feed_all([StartStep(), ToolInputStart(tool_call_id="t", tool_name="x")])
    reducer.feed_all([ToolInputDelta("t", '{"__proto__": {"a": 1}' + ("}" if saved else ""))])

    assert not is_refused(json.dumps(reducer.message()))


# Tools


class Aliased(BaseModel):
    """A model whose JSON has such a key."""

    model_config: ClassVar[ConfigDict] = ConfigDict(serialize_by_alias=True)
    proto: int = Field(default=1, serialization_alias="__proto__")


class OfItsOwn(dict[str, Any]):
    """A dict of an application's own."""


OUTPUTS: list[Any] = [
    *UNSAFE,
    OfItsOwn({"__proto__": 1}),
    OrderedDict(a=OfItsOwn({"__proto__": 1})),
    Aliased(),
    [(Aliased(),)],
]


async def read(result: Any) -> list[Part]:
    return [part async for part in result]


@pytest.mark.anyio
@pytest.mark.parametrize("is_preliminary", [False, True])
@pytest.mark.parametrize("output", OUTPUTS, ids=repr)
async def test_tools_output_with_an_unsafe_key_is_the_tools_error(output: Any, is_preliminary: bool):
    @tool(name="get")
    async def whole() -> Any:
        return output

    @tool(name="get")
    async def growing() -> AsyncIterator[Any]:
        yield output
        yield {"fine": True}

    model = ScriptedModel(calling_tool("get"), saying("Too bad."))
    used = growing if is_preliminary else whole
    result = stream_text(model, prompt="?", tools=[used], stop_when=step_count_is(2))
    parts = await read(result)
    failed = [part for part in parts if isinstance(part, ToolOutputError)]

    assert "which no client reads" in failed[0].error_text
    assert not any(isinstance(part, ToolOutputAvailable) for part in parts)
    assert await result.text == "Too bad."
    assert not is_refused(json.dumps(await result.ui_message))


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["get", "unknown"])
@pytest.mark.parametrize("value", UNSAFE)
async def test_tools_input_with_an_unsafe_key_is_one_that_cannot_be_read(name: str, value: Any):
    calls: list[Any] = []

    get = tool(name="get", input_schema={"type": "object"}, execute=calls.append)
    text = json.dumps(value)
    model = ScriptedModel(calling_tool(name, text), saying("Sorry."))
    result = stream_text(model, prompt="?", tools=[get], stop_when=step_count_is(2))
    parts = await read(result)
    failed = [part.input for part in parts if isinstance(part, ToolInputError)]

    assert failed == [text]
    assert calls == []
    assert await result.text == "Sorry."
    assert not is_refused(json.dumps(await result.ui_message))


@pytest.mark.anyio
async def test_input_that_speaks_of_unsafe_keys_reaches_the_tool():
    value: dict[str, Any] = {"city": "__proto__", "constructor": "prototype", "prototype": {}}

    def give_back(given: Any) -> Any:
        return given

    get = tool(name="get", input_schema={"type": "object"}, execute=give_back)
    model = ScriptedModel(calling_tool("get", value), saying("Done."))
    parts = await read(stream_text(model, prompt="?", tools=[get], stop_when=step_count_is(2)))

    assert [part.output for part in parts if isinstance(part, ToolOutputAvailable)] == [value]


# What an application writes


@pytest.mark.anyio
@pytest.mark.parametrize("value", OUTPUTS, ids=repr)
async def test_writer_refuses_data_with_an_unsafe_key(value: Any):
    async def execute(writer: UIMessageStreamWriter) -> None:
        with pytest.raises(UnsafeKeyError, match="no client of the AI SDK reads"):
            writer.write_data("tide", value)
        writer.write_data("tide", "__proto__")

    parts = await read(ui_message_stream(execute))

    assert [part.data for part in parts if isinstance(part, Data)] == ["__proto__"]


@pytest.mark.anyio
async def test_messages_metadata_loses_unsafe_keys_on_the_wire_and_in_what_is_saved():
    def metadata(part: Part) -> Any:
        return {"n": 1, "who": {"__proto__": 1, "name": "a"}} if isinstance(part, Start | Finish) else None

    result = stream_text(ScriptedModel(saying("Hi")), prompt="?", message_metadata=metadata)
    body = make_encoder(None, DIALECTS[-1]).feed_all(await read(result))

    assert b'"messageMetadata":{"n":1,"who":{"name":"a"}}' in body
    assert (await result.ui_message)["metadata"] == {"n": 1, "who": {"name": "a"}}


@pytest.mark.anyio
@pytest.mark.parametrize("output", ["object", "array", "no-schema"])
async def test_objects_text_with_an_unsafe_key_is_no_object(output: Any):
    text = '{"elements": [{"a": {"__proto__": 1}}]}' if output == "array" else '{"a": {"__proto__": 1}}'
    schema = None if output == "no-schema" else {"type": "object"}
    with pytest.raises(NoObjectGeneratedError):
        await generate_object(ScriptedModel(saying(text)), prompt="?", output=output, schema=schema)


# What clients send

USER: dict[str, Any] = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}


def bodies_with(value: Any) -> list[Any]:
    tool_part: dict[str, Any] = {
        "type": "tool-get",
        "toolCallId": "t1",
        "state": "output-available",
        "input": {},
        "output": value,
    }
    return [
        {"id": "c1", "messages": [{**USER, "metadata": {"it": value}}]},
        {"id": "c1", "messages": [USER, {"id": "a1", "role": "assistant", "parts": [tool_part]}]},
        {"id": "c1", "messages": [USER], "it": value},
    ]


@pytest.mark.parametrize("body", [body for value in UNSAFE for body in bodies_with(value)])
def test_request_with_an_unsafe_key_is_refused_with_its_path(body: Any):
    with pytest.raises(RequestError, match="must not be a key") as caught:
        parse_chat_request(json.dumps(body).encode())

    assert caught.value.status == 400
    assert caught.value.path.endswith(("__proto__", "constructor.prototype"))
    with pytest.raises(ValueError, match="must not be a key"):
        ChatRequest.model_validate(body)


@pytest.mark.anyio
async def test_server_refuses_unsafe_keys_and_stores_nothing(tmp_path: Path):
    app = create_app(Settings.model_validate({"database_url": f"sqlite:///{tmp_path / 'chats.db'}", "model": "demo"}))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
    ):
        for value in UNSAFE:
            for body in bodies_with(value):
                refused = await client.post("/api/chat", json=body)
                assert refused.status_code == 400, refused.text
                assert "must not be a key" in refused.text
        chats = (await client.get("/api/chats")).json()
        patched = await client.patch("/api/chats/c2", json={"metadata": {"a": {"__proto__": 1}}})
        kept = await client.patch("/api/chats/c2", json={"metadata": {"a": "__proto__"}})

    assert chats["chats"] == []
    assert patched.status_code == 400, patched.text
    assert kept.status_code == 404  # there is no such chat; the value was not what is wrong
