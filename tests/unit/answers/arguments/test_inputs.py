"""What an answer may be asked with."""

from __future__ import annotations

from typing import Any

import pytest

from usechat.answers.arguments.inputs import given_messages, read_messages
from usechat.errors import ConfigurationError, RequestError
from usechat.messages.model import AssistantMessage, TextContent, UserMessage
from usechat.messages.ui import UIMessage

ASKED = UserMessage((TextContent("Hi"),))
POSTED = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}


@pytest.mark.parametrize(
    "message", [ASKED, POSTED, UIMessage.model_validate(POSTED), {"role": "user", "content": "Hi"}]
)
def test_messages_of_every_kind_become_the_models(message: Any):
    assert list(read_messages([message])) == [ASKED]


def test_ui_messages_may_stand_among_plain_objects():
    assert list(read_messages([POSTED, UIMessage.model_validate(POSTED)])) == [ASKED, ASKED]


def test_a_prompt_is_one_user_message():
    assert read_messages(given_messages(None, "Hi")) == [ASKED]


@pytest.mark.parametrize(("messages", "prompt"), [(None, None), ([ASKED], "Hi")])
def test_either_messages_or_prompt_is_wanted(messages: Any, prompt: str | None):
    with pytest.raises(ConfigurationError, match="either messages or prompt"):
        given_messages(messages, prompt)


def test_no_messages_are_refused():
    with pytest.raises(RequestError, match=r"^messages: must not be empty$"):
        read_messages([])


def test_model_messages_among_ui_messages_are_refused():
    with pytest.raises(ConfigurationError, match="not some of each"):
        read_messages([AssistantMessage((TextContent("Hello"),)), POSTED])


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ({"id": "1", "parts": []}, "messages[1].role"),
        ("text", "messages[1]"),
        ({**POSTED, "parts": 5}, "messages[1].parts"),
    ],
)
def test_what_is_no_message_is_refused_with_its_place(message: Any, path: str):
    with pytest.raises(RequestError) as refused:
        read_messages([POSTED, message])
    assert refused.value.path == path


def test_options_reach_the_conversion():
    messages = [{"id": "0", "role": "system", "parts": [{"type": "text", "text": "Be brief."}]}, POSTED]
    assert len(read_messages(messages)) == 1
    assert len(read_messages(messages, allow_system=True)) == 2
