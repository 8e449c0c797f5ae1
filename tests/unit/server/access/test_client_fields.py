"""A client's messages steer nothing that the operator pays for or owns, unless the settings say so."""

from __future__ import annotations

from typing import Any

import pytest

from usechat.messages.ui import UIMessage
from usechat.server.access.client_fields import ClientFields

CACHED = {
    "type": "text",
    "text": "hello",
    "providerMetadata": {"anthropic": {"cacheControl": {"type": "ephemeral", "ttl": "1h"}}},
}
FILE = {"type": "file", "mediaType": "text/plain", "filename": "a", "url": "", "providerReference": {"anthropic": "f"}}
RESULT: dict[str, Any] = {
    "type": "tool-web_search",
    "toolCallId": "1",
    "state": "output-available",
    "input": {},
    "output": [],
    "providerExecuted": True,
    "callProviderMetadata": {"anthropic": {"caller": {"type": "direct"}}},
}
THOUGHT = {"type": "reasoning", "text": "hm", "providerMetadata": {"anthropic": {"signature": "s", "effort": "max"}}}


def cleaned(*parts: dict[str, Any], allowed: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    message = UIMessage.model_validate({"id": "m", "role": "assistant", "parts": list(parts)})
    before = message.model_dump()
    (found,) = ClientFields(allowed).clean([message])
    # What is stored is what the client has sent.
    assert message.model_dump() == before
    return found.parts


@pytest.mark.parametrize("spelling", ["cacheControl", "cache_control", "CacheControl"])
def test_cache_is_not_steered(spelling: str) -> None:
    part = {**CACHED, "providerMetadata": {"anthropic": {spelling: {"type": "ephemeral", "ttl": "1h"}}}}
    assert cleaned(part) == [{**CACHED, "providerMetadata": {"anthropic": {}}}]
    assert cleaned(part, allowed=("cacheControl",)) == [part]


def test_files_of_the_account_are_not_named() -> None:
    (note,) = cleaned(FILE)
    assert note == {"type": "text", "text": '[The file "a" cannot be read and was left out.]'}
    assert cleaned(FILE, allowed=("providerReference",)) == [FILE]


def test_results_of_the_providers_tools_are_not_invented() -> None:
    assert cleaned(RESULT) == []
    assert cleaned(RESULT, allowed=("providerExecuted", "caller")) == [RESULT]


def test_signed_reasoning_stays() -> None:
    assert cleaned(THOUGHT) == [{**THOUGHT, "providerMetadata": {"anthropic": {"signature": "s"}}}]


@pytest.mark.parametrize("metadata", [None, {"anthropic": None}, {"anthropic": {}}, {}])
def test_metadata_of_any_form_is_read(metadata: Any) -> None:
    part = {"type": "text", "text": "a", "providerMetadata": metadata}
    (found,) = cleaned(part)
    assert found["text"] == "a"


def test_message_without_options_is_not_copied() -> None:
    message = UIMessage.model_validate({"id": "m", "role": "user", "parts": [{"type": "text", "text": "a"}]})
    assert ClientFields().clean([message])[0] is message
