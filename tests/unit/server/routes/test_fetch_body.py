from __future__ import annotations

from typing import Any

import pytest

from usechat.errors import RequestError
from usechat.json import write_json
from usechat.messages.ui import parse_body
from usechat.server.routes.fetch_body import FetchChatBody

USER = {"role": "user", "content": "?"}


def read(*messages: Any, **more: Any) -> FetchChatBody:
    return parse_body(FetchChatBody, write_json({"messages": list(messages), **more}).encode())


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "?"},
        {"role": "user", "content": [{"type": "text", "text": "?"}]},
        {"role": "user", "parts": [{"type": "text", "text": "?"}]},
        {"role": "user", "content": "?", "id": 17, "at": None, "metadata": {"parts": 1}, "parts": None},
    ],
)
def test_text_is_read_however_it_is_written(message: dict[str, Any]) -> None:
    assert [each.text for each in read(message).messages] == ["?"]


@pytest.mark.parametrize("stopped", [{"content": ""}, {"content": None}, {}])
def test_answer_that_was_stopped_before_its_first_word_is_read(stopped: dict[str, Any]) -> None:
    assert [each.text for each in read(USER, {"role": "assistant", **stopped}, USER).messages] == ["?", "", "?"]


@pytest.mark.parametrize(
    ("body", "instructions"),
    [
        ([], None),
        ([{"role": "system", "content": " "}], None),
        ([{"role": "system", "content": "Be brief."}], "Be brief."),
        ([{"role": "system", "content": "Be brief."}, {"role": "system", "content": "Rhyme."}], "Be brief.\n\nRhyme."),
    ],
)
def test_system_messages_are_instructions(body: list[dict[str, Any]], instructions: str | None) -> None:
    assert read(*body, USER).instructions == instructions


def test_system_prompt_comes_before_system_messages() -> None:
    body = read({"role": "system", "content": "Rhyme."}, USER, systemPrompt="Be brief.", temperature=1)
    assert body.instructions == "Be brief.\n\nRhyme."
    assert body.extra == {"temperature": 1}


@pytest.mark.parametrize(
    ("body", "text", "status"),
    [
        (b"", "The body is not JSON.", 400),
        (b"[" * 10_000, "The body is nested too deep.", 400),
        (b"{}", "messages: is missing", 400),
        (b'{"messages": 7}', "messages: must be a list", 422),
        (b'{"messages": []}', "messages: must not be empty", 400),
        (b'{"messages": ["secret"]}', "messages[0]: must be an object", 422),
        (b'{"messages": [{"content": "secret"}]}', "messages[0].role: is missing", 422),
        (b'{"messages": [{"role": "user", "content": "?"}], "systemPrompt": 7}', "systemPrompt: must be text", 422),
    ],
)
def test_wrong_body_is_refused_in_one_sentence(body: bytes, text: str, status: int) -> None:
    with pytest.raises(RequestError) as caught:
        parse_body(FetchChatBody, body)
    assert (str(caught.value), caught.value.status) == (text, status)
