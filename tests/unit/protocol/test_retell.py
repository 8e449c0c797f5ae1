from __future__ import annotations

from typing import Any

import pytest

from usechat.protocol.decoders import UIMessageStreamDecoder
from usechat.protocol.dialects import AUTO, NEWEST, Dialect, parse_dialect
from usechat.protocol.encoders import WireFormat
from usechat.protocol.reducer import Reducer
from usechat.protocol.retell import retell

STEP: dict[str, Any] = {"type": "step-start"}
PICTURE = {"mediaType": "image/png", "url": "data:image/png;base64,iVBORw0K"}
OF_PROVIDER = {"anthropic": {"seen": True}}


def newest(major: int) -> Dialect:
    return Dialect(NEWEST[major], exact=True)


def call(state: str, **fields: Any) -> dict[str, Any]:
    return {"type": "tool-look", "toolCallId": "t1", "state": state, "input": {"at": "sea"}, **fields}


PARTS: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": "Waves.", "state": "done"},
    "text with metadata": {"type": "text", "text": "Waves.", "providerMetadata": OF_PROVIDER, "state": "done"},
    "reasoning": {
        "type": "reasoning",
        "id": "r1",
        "text": "The moon is new.",
        "providerMetadata": {"anthropic": {"signature": "EqQB"}},
        "state": "done",
    },
    "source": {"type": "source-url", "sourceId": "s1", "url": "https://tides.example/", "title": "Tides"},
    "document": {
        "type": "source-document",
        "sourceId": "s2",
        "mediaType": "application/pdf",
        "title": "Chart",
        "filename": "chart.pdf",
    },
    "file": {"type": "file", **PICTURE},
    "reasoning file": {"type": "reasoning-file", **PICTURE},
    "custom": {"type": "custom", "kind": "example.note", "providerMetadata": OF_PROVIDER},
    "steering message": {"type": "steering-message", "id": "s1", "parts": [{"type": "text", "text": "Faster"}]},
    "data": {"type": "data-weather", "id": "w", "data": {"temperature": 18}},
    "call": call("input-available"),
    "call of the provider": call("input-available", providerExecuted=True, callProviderMetadata=OF_PROVIDER),
    "titled call": call("input-available", title="Looking"),
    "begun call": call("input-streaming", rawInput='{"at":"sea"}'),
    "begun call whose input is text": call("input-streaming", input="sea", rawInput="sea", inputEncoding="text"),
    "begun call without input": {"type": "tool-look", "toolCallId": "t1", "state": "input-streaming"},
    "output": call("output-available", output={"waves": 1.4}),
    "no output": call("output-available", output=None),
    "preliminary output": call("output-available", output="so far", preliminary=True),
    "failure": call("output-error", errorText="fog"),
    "approval that is asked for": call("approval-requested", approval={"id": "a1", "signature": "s"}),
    "approval with all that tells of it": call(
        "approval-responded",
        approval={
            "id": "a1",
            "descriptor": {"tool": "look"},
            "inputSchemaInput": {"at": " sea"},
            "requestReason": "far",
            "isAutomatic": True,
            "signature": "s",
            "approved": True,
            "reason": "calm",
        },
    ),
    "approval that is given": call("approval-responded", approval={"id": "a1", "approved": True, "reason": "calm"}),
    "approval that is refused": call("output-denied", approval={"id": "a1", "approved": False}),
    "dynamic call": {
        "type": "dynamic-tool",
        "toolName": "look",
        "toolCallId": "t1",
        "state": "output-available",
        "input": {},
        "output": "waves",
    },
}


def told(message: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    """The message that a client makes of what it is told."""
    reducer = Reducer(dialect=dialect)
    reducer.feed_all(UIMessageStreamDecoder().feed(retell(message, dialect, None)))
    return reducer.message()


@pytest.mark.parametrize("name", PARTS)
def test_a_client_that_resumes_makes_the_same_part_of_it(name: str):
    message = {"id": "m1", "role": "assistant", "parts": [STEP, PARTS[name]]}

    assert told(message, newest(7)) == message


@pytest.mark.parametrize("major", [5, 6, 7])
def test_steps_and_metadata_are_told_in_their_order(major: int):
    message = {
        "id": "m1",
        "role": "assistant",
        "metadata": {"model": "m"},
        "parts": [STEP, PARTS["text"], PARTS["output"], STEP, PARTS["data"], PARTS["text"]],
    }

    assert told(message, newest(major)) == message


def test_a_call_that_was_invalid_is_told_as_one():
    part = {"type": "tool-look", "toolCallId": "t1", "state": "output-error", "rawInput": "sea", "errorText": "no"}

    assert told({"id": "m1", "parts": [part]}, newest(6))["parts"] == [part]


def test_a_call_that_an_older_page_holds_without_its_text_is_told_from_its_input():
    part = call("input-streaming", input={"at": "sea"})

    assert told({"id": "m1", "parts": [part]}, newest(5))["parts"] == [{**part, "rawInput": '{"at":"sea"}'}]


def test_ai_sdk_6_is_not_asked_again_what_it_has_decided():
    message = {"id": "m1", "parts": [PARTS["approval that is given"]]}

    assert told(message, newest(6))["parts"] == [call("input-available")]


def test_ai_sdk_6_is_asked_what_it_has_not_decided():
    message = {"id": "m1", "parts": [PARTS["approval that is asked for"]]}

    assert told(message, newest(6))["parts"] == message["parts"]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "url": "data:,"},
        {"type": "source-url"},
        {"type": "tool-look", "input": {}},
        {"type": "unheard-of"},
        {},
        call("input-available", approval="yes"),
    ],
    ids=str,
)
def test_what_no_client_sends_is_left_out(part: dict[str, Any]):
    message = {"id": "m1", "parts": [part, PARTS["text"]]}

    assert told(message, newest(7))["parts"] == [PARTS["text"]]


@pytest.mark.parametrize(
    ("dialect", "wire_format"),
    [
        (Dialect((5, 0, 232), exact=True), None),
        (Dialect((6, 0, 249), exact=True), "ui-message-stream"),
        (Dialect((7, 0, 60), exact=True), None),
        (newest(4), None),
        (newest(7), "text-stream"),
        (newest(7), "events"),
        (newest(7), "data-stream"),
    ],
)
def test_nothing_is_told_to_a_reader_that_goes_on_with_what_it_has(dialect: Dialect, wire_format: WireFormat | None):
    assert retell({"id": "m1", "parts": [PARTS["text"]]}, dialect, wire_format) == b""


@pytest.mark.parametrize("dialect", [AUTO, Dialect((5, 0, 233), exact=True), Dialect((7, 0, 61), exact=True)])
def test_a_client_is_told_that_begins_empty_or_may(dialect: Dialect):
    assert b"Waves." in retell({"id": "m1", "parts": [PARTS["text"]]}, dialect, None)


@pytest.mark.parametrize("named", ["5", "6", "7", "7.0"])
def test_a_major_alone_is_told_for_its_releases_that_begin_anew(named: str):
    dialect = parse_dialect(named)
    assert dialect is not None
    assert b"Waves." in retell({"id": "m1", "parts": [PARTS["text"]]}, dialect, None)


@pytest.mark.parametrize("named", ["4.3.19", "3.4.33", "2.2.37"])
def test_an_older_client_that_reads_chunks_all_the_same_is_told(named: str):
    dialect = parse_dialect(named)
    assert dialect is not None
    assert b"Waves." in retell({"id": "m1", "parts": [PARTS["text"]]}, dialect, "ui-message-stream")
