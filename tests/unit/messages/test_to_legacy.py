from __future__ import annotations

from typing import Any

import pytest

from usechat.messages.legacy import to_ui_message
from usechat.messages.to_legacy import to_legacy_message
from usechat.protocol.options import DENIED

PNG = "data:image/png;base64,AAAA"
CALL = {"toolCallId": "c1", "input": {"city": "Lima"}}
INVOCATION = {"step": 0, "toolCallId": "c1", "toolName": "weather", "args": {"city": "Lima"}}


def converted(*parts: Any) -> list[Any]:
    return to_legacy_message({"id": "m", "role": "assistant", "parts": [*parts]})["parts"]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "Hi", "state": "done"}, {"type": "text", "text": "Hi"}),
        (
            {"type": "reasoning", "text": "Hm", "providerMetadata": {"anthropic": {"signature": "s"}}},
            {
                "type": "reasoning",
                "reasoning": "Hm",
                "details": [{"type": "text", "text": "Hm", "signature": "s"}],
            },
        ),
        (
            {"type": "reasoning", "text": "", "providerMetadata": {"anthropic": {"redactedData": "d"}}},
            {"type": "reasoning", "reasoning": "", "details": [{"type": "redacted", "data": "d"}]},
        ),
        (
            {"type": "reasoning", "text": "Hm", "providerMetadata": None},
            {"type": "reasoning", "reasoning": "Hm", "details": [{"type": "text", "text": "Hm"}]},
        ),
        (
            {"type": "source-url", "sourceId": "s", "url": "https://a.example", "title": "A"},
            {"type": "source", "source": {"sourceType": "url", "id": "s", "url": "https://a.example", "title": "A"}},
        ),
        (
            {"type": "file", "mediaType": "image/png", "url": PNG},
            {"type": "file", "mimeType": "image/png", "data": "AAAA"},
        ),
        ({"type": "step-start"}, {"type": "step-start"}),
    ],
)
def test_each_part_becomes_the_older_one(part: dict[str, Any], expected: dict[str, Any]):
    assert converted(part) == [expected]


@pytest.mark.parametrize(
    ("state", "more", "expected"),
    [
        ("input-streaming", {}, {"state": "partial-call"}),
        ("input-available", {}, {"state": "call"}),
        ("approval-requested", {"approval": {"id": "a"}}, {"state": "call"}),
        ("output-available", {"output": None}, {"state": "result", "result": None}),
        ("output-error", {"errorText": "no"}, {"state": "result", "result": {"error": "no"}}),
        ("output-denied", {}, {"state": "result", "result": DENIED}),
    ],
)
@pytest.mark.parametrize("kind", [{"type": "tool-weather"}, {"type": "dynamic-tool", "toolName": "weather"}])
def test_each_state_of_a_call_becomes_one_that_ends_as_it_did(
    kind: dict[str, Any], state: str, more: dict[str, Any], expected: dict[str, Any]
):
    [part] = converted({**kind, **CALL, "state": state, **more})
    assert part == {"type": "tool-invocation", "toolInvocation": {**INVOCATION, **expected}}


def test_calls_have_the_number_of_their_step():
    call = {"type": "tool-weather", **CALL, "state": "input-available"}
    parts = converted({"type": "step-start"}, call, {"type": "step-start"}, call)
    assert [part["toolInvocation"]["step"] for part in parts if "toolInvocation" in part] == [0, 1]


def test_what_the_older_client_does_not_know_is_left_out():
    unknown = [{"type": "data-x", "data": 1}, {"type": "source-document"}, {"type": "custom"}, {}, "text"]
    assert converted(*unknown) == []


def test_content_is_all_text_and_other_keys_stay():
    parts = [{"type": "text", "text": "a"}, {"type": "step-start"}, {"type": "text", "text": "b"}]
    message = {"id": "m", "role": "assistant", "createdAt": "now", "parts": parts, "metadata": {"model": "x"}}
    assert to_legacy_message(message) == {
        "id": "m",
        "role": "assistant",
        "createdAt": "now",
        "content": "ab",
        "parts": parts,
        "annotations": [{"model": "x"}],
    }
    assert message["parts"] is parts


def test_files_elsewhere_are_attachments():
    file = {"type": "file", "mediaType": "image/png", "url": "https://a.example/a.png"}
    message = to_legacy_message({"role": "user", "parts": [file, {**file, "filename": "a.png"}]})
    attachment = {"contentType": "image/png", "url": "https://a.example/a.png"}
    assert message["experimental_attachments"] == [attachment, {"name": "a.png", **attachment}]
    assert message["parts"] == []


def test_a_message_without_parts_has_no_text():
    assert to_legacy_message({"id": "m", "role": "user", "parts": None}) == {
        "id": "m",
        "role": "user",
        "content": "",
        "parts": [],
    }


def test_what_is_posted_back_is_what_was_stored():
    stored = {
        "id": "m",
        "role": "assistant",
        "parts": [
            {"type": "step-start"},
            {"type": "reasoning", "text": "Hm", "providerMetadata": {"anthropic": {"signature": "s"}}},
            {"type": "tool-weather", **CALL, "state": "output-available", "output": {"sun": True}},
            {"type": "step-start"},
            {"type": "text", "text": "Sunny"},
        ],
    }
    assert to_ui_message(to_legacy_message(stored)) == stored


def test_clients_that_know_no_parts_find_the_calls_beside_the_text():
    call = {"type": "tool-weather", **CALL, "state": "output-available", "output": 5}
    message = to_legacy_message({"id": "m", "role": "assistant", "parts": [{"type": "text", "text": "Look."}, call]})
    assert message["content"] == "Look."
    assert message["toolInvocations"] == [{"state": "result", **INVOCATION, "result": 5}]
    assert "toolInvocations" not in to_legacy_message({"id": "m", "role": "user", "parts": []})


@pytest.mark.parametrize("metadata", [None, 1, "x", [1], {"anthropic": 5}, {"anthropic": "signature"}])
def test_reasoning_with_provider_metadata_that_is_no_object_is_plain_reasoning(metadata: Any):
    part = {"type": "reasoning", "text": "Hm", "providerMetadata": metadata}
    assert converted(part) == [{"type": "reasoning", "reasoning": "Hm", "details": [{"type": "text", "text": "Hm"}]}]
