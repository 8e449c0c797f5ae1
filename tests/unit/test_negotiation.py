"""Which dialect a request is answered in: what was named, or else what the request proves."""

from __future__ import annotations

from typing import Any

import pytest

from usechat.errors import ConfigurationError, RequestError
from usechat.messages.ui import ChatRequest
from usechat.negotiation import SDK_HEADER, negotiate
from usechat.protocol.dialects import AUTO, NEWEST, Dialect


def chat(*parts: dict[str, Any], **message: Any) -> ChatRequest:
    posted = {"role": "user", "parts": list(parts) or [{"type": "text", "text": "Hi"}], **message}
    return ChatRequest.model_validate({"messages": [posted], "trigger": "submit-message"})


FROM_4 = ChatRequest.model_validate({"messages": [{"role": "user", "content": "Hi"}]})
ASKED = {
    "type": "tool-x", "toolCallId": "c", "state": "approval-requested", "input": {}, "approval": {"id": "a"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("named", "dialect"),
    [
        ("4", Dialect(NEWEST[4], exact=True)),
        ("7", Dialect(NEWEST[7], exact=True)),
        ("v6", Dialect(NEWEST[6], exact=True)),
        ("6.0.100", Dialect((6, 0, 100), exact=True)),
    ],
)
def test_header_names_the_version(named: str, dialect: Dialect):
    assert negotiate(chat(), {SDK_HEADER: named}) == dialect
    assert negotiate(FROM_4, {SDK_HEADER: named}, sdk=5) == dialect
    assert negotiate(None, {SDK_HEADER: named}) == dialect


@pytest.mark.parametrize("named", ["3", "8", "", "x" * 1000, "7.0.0.0", "seven"])
def test_header_that_names_nothing_is_refused_without_an_echo(named: str):
    with pytest.raises(RequestError, match=SDK_HEADER) as refusal:
        negotiate(chat(), {SDK_HEADER: named})
    assert refusal.value.status == 400
    assert refusal.value.path == SDK_HEADER
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("sdk", [7, "7"])
def test_argument_names_the_version(sdk: Any):
    assert negotiate(FROM_4, {}, sdk) == Dialect(NEWEST[7], exact=True)


def test_argument_that_names_nothing_is_the_applications_mistake():
    with pytest.raises(ConfigurationError):
        negotiate(chat(), {}, "eight")


@pytest.mark.parametrize(("headers", "sdk"), [({}, None), ({}, "auto"), ({SDK_HEADER: "auto"}, 7)])
def test_auto_tells_it_from_the_request(headers: dict[str, str], sdk: Any):
    assert negotiate(chat(), headers, sdk) == AUTO
    assert negotiate(FROM_4, headers, sdk) == Dialect(NEWEST[4], exact=True)
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
        ("ai-sdk/6.0.0-beta.1 runtime/browser", Dialect((6, 0, 0), exact=False)),
        ("ai-sdk/5.0.0-alpha.1", AUTO),
        ("ai-sdk/8.0.0", AUTO),
    ],
)
def test_user_agent_names_the_version_where_it_names_one(agent: str, dialect: Dialect):
    assert negotiate(chat(), {"user-agent": agent}) == dialect
