"""Which dialect a request is answered in: what was named, or else what the request proves."""

from __future__ import annotations

from typing import Any

import pytest

from usechat.errors import ConfigurationError, RequestError
from usechat.http.negotiation import SDK_HEADER, negotiate
from usechat.messages.ui import ChatRequest
from usechat.protocol.dialects import AUTO, Dialect


def chat(*parts: dict[str, Any], **message: Any) -> ChatRequest:
    posted = {"role": "user", "parts": list(parts) or [{"type": "text", "text": "Hi"}], **message}
    return ChatRequest.model_validate({"messages": [posted], "trigger": "submit-message"})


def old_chat(*keys: str, **message: Any) -> ChatRequest:
    posted = {"id": "c", "messages": [{"role": "user", "content": "Hi", **message}]}
    return ChatRequest.model_validate({key: posted[key] for key in keys})


def any_release_since(*version: int) -> Dialect:
    return Dialect((version[0], version[1], version[2]), exact=True, is_release=False)


TEXT_PART = {"type": "text", "text": "Hi"}
FROM_3 = old_chat("messages")
FROM_4 = old_chat("id", "messages", parts=[TEXT_PART])
ASKED = {
    "type": "tool-x", "toolCallId": "c", "state": "approval-requested", "input": {}, "approval": {"id": "a"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("named", "dialect"),
    [
        ("2", any_release_since(2, 0, 0)),
        ("3.4", any_release_since(3, 4, 0)),
        ("7", any_release_since(7, 0, 0)),
        ("v6", any_release_since(6, 0, 0)),
        ("4.3.19", Dialect((4, 3, 19), exact=True)),
        ("6.0.100", Dialect((6, 0, 100), exact=True)),
    ],
)
def test_header_names_the_version(named: str, dialect: Dialect):
    assert negotiate(chat(), {SDK_HEADER: named}) == dialect
    assert negotiate(FROM_4, {SDK_HEADER: named}, sdk="auto") == dialect
    assert negotiate(None, {SDK_HEADER: named}) == dialect


@pytest.mark.parametrize("named", ["1", "8", "", "x" * 1000, "7.0.0.0", "seven"])
def test_header_that_names_nothing_is_refused_without_an_echo(named: str):
    with pytest.raises(RequestError, match=SDK_HEADER) as refusal:
        negotiate(chat(), {SDK_HEADER: named})
    assert refusal.value.status == 400
    assert refusal.value.path == SDK_HEADER
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("sdk", [7, "7"])
def test_argument_names_the_version(sdk: Any):
    assert negotiate(FROM_4, {}, sdk) == any_release_since(7, 0, 0)


@pytest.mark.parametrize("named", ["7", "4.3.19", "auto", "nothing"])
def test_argument_goes_before_the_header(named: str):
    assert negotiate(chat(), {SDK_HEADER: named}, 5) == any_release_since(5, 0, 0)


def test_argument_that_names_nothing_is_the_applications_mistake():
    with pytest.raises(ConfigurationError):
        negotiate(chat(), {}, "eight")


@pytest.mark.parametrize(("headers", "sdk"), [({}, None), ({}, "auto"), ({SDK_HEADER: "auto"}, None)])
def test_auto_tells_it_from_the_request(headers: dict[str, str], sdk: Any):
    assert negotiate(chat(), headers, sdk) == AUTO
    assert negotiate(FROM_4, headers, sdk) == any_release_since(4, 1, 20)
    assert negotiate(chat(ASKED, role="assistant"), headers, sdk) == Dialect((6, 0, 0), exact=False)


def test_request_that_proves_nothing_gets_what_every_client_takes():
    assert negotiate(None, {}) == AUTO
    assert negotiate(chat(), {"user-agent": "Mozilla/5.0"}) == AUTO


@pytest.mark.parametrize(
    ("part", "version"),
    [
        ({"type": "custom", "kind": "a.b"}, (7, 0, 0)),
        ({"type": "reasoning-file", "url": "data:,", "mediaType": "text/plain"}, (7, 0, 0)),
        ({**ASKED, "approval": {"id": "a", "isAutomatic": True}}, (7, 0, 0)),
    ],
)
def test_part_proves_the_version_that_first_had_it(part: dict[str, Any], version: Any):
    assert negotiate(chat(part, role="assistant"), {}) == Dialect(version, exact=False)


@pytest.mark.parametrize(
    ("agent", "dialect"),
    [
        ("ai-sdk/5.0.60 runtime/browser", Dialect((5, 0, 60), exact=True)),
        ("ai-sdk/6.0.100", Dialect((6, 0, 100), exact=True)),
        ("ai-sdk/7.0.0-beta.1 runtime/browser", Dialect((6, 0, 0), exact=False)),
        ("ai-sdk/6.0.0-beta.1", AUTO),
        ("ai-sdk/5.0.0-alpha.1", AUTO),
        ("ai-sdk/8.0.0", AUTO),
    ],
)
def test_user_agent_names_the_version_where_it_names_one(agent: str, dialect: Dialect):
    assert negotiate(chat(), {"user-agent": agent}) == dialect


STEP = {"type": "step-start"}


@pytest.mark.parametrize(
    ("chat", "oldest"),
    [
        (FROM_3, (3, 0, 0)),
        # A page of any release may add an id of its own; it comes last.
        (old_chat("messages", "id"), (3, 0, 0)),
        (old_chat("id", "messages"), (4, 0, 36)),
        (FROM_4, (4, 1, 20)),
        (old_chat("id", "messages", role="assistant", parts=[STEP, TEXT_PART]), (4, 2, 8)),
    ],
)
def test_old_body_gets_what_every_release_reads_that_can_have_sent_it(chat: ChatRequest, oldest: Any):
    assert negotiate(chat, {}) == any_release_since(*oldest)


@pytest.mark.parametrize(
    ("chat", "named", "version"),
    [
        (FROM_4, "4", (4, 1, 20)),
        (FROM_4, "4.2", (4, 2, 0)),
        (FROM_4, "3", (3, 0, 0)),
        (FROM_3, "4", (4, 0, 0)),
        (FROM_3, "3.4", (3, 4, 0)),
        (chat(), "4", (4, 0, 0)),
    ],
)
def test_body_raises_the_major_that_is_named_as_far_as_it_proves(chat: ChatRequest, named: str, version: Any):
    assert negotiate(chat, {SDK_HEADER: named}) == any_release_since(*version)
