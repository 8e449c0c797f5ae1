"""What the user and the system say, as the API takes it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.unit.models.claude.request.conversations import (
    CACHE,
    QUESTION,
    Json,
    file,
    messages_of,
    request,
    said,
    text_block,
    user_turn,
)
from usechat.errors import RequestError
from usechat.messages.model import FileContent, ModelMessage, SystemMessage, TextContent, UserMessage
from usechat.models.base import ModelCall, ProviderTool
from usechat.models.claude.request.request import build_request
from usechat.models.claude.response.citations import CitationDocument

# What the user says


@pytest.mark.parametrize(
    ("content", "block"),
    [
        (
            file("image/png", b"x"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}},
        ),
        (file("image/*", url="https://a/b"), {"type": "image", "source": {"type": "url", "url": "https://a/b"}}),
        (
            file("application/pdf", b"x", filename="a.pdf"),
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "eA=="},
                "title": "a.pdf",
            },
        ),
        (
            file("application/pdf", url="https://a/b"),
            {"type": "document", "source": {"type": "url", "url": "https://a/b"}},
        ),
        (
            file(
                "text/csv",
                "\ufeffä,b".encode(),
                provider_options={"anthropic": {"citations": {"enabled": True}, "title": "T", "context": "C"}},
            ),
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "ä,b"},
                "title": "T",
                "context": "C",
                "citations": {"enabled": True},
            },
        ),
        (
            file("image/png", provider_reference={"anthropic": "f"}),
            {"type": "image", "source": {"type": "file", "file_id": "f"}},
        ),
        (
            file("text/csv", provider_reference={"anthropic": "f"}),
            {"type": "document", "source": {"type": "file", "file_id": "f"}},
        ),
        (
            file(
                "text/csv",
                provider_reference={"anthropic": "f"},
                provider_options={"anthropic": {"containerUpload": True}},
            ),
            {"type": "container_upload", "file_id": "f"},
        ),
    ],
)
def test_files(content: FileContent, block: Json):
    assert messages_of(UserMessage((content,))) == [user_turn(block)]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (file("application/zip", b"x"), 415),
        (file("image/heic", b"x"), 415),
        (file("text/plain", url="https://a/b"), 415),
        (file("application/pdf", b""), 422),
        (file("image/png", provider_reference={"openai": "f"}), 422),
    ],
)
def test_files_that_the_model_cannot_read_are_refused(content: FileContent, status: int):
    with pytest.raises(RequestError) as caught:
        request(UserMessage((content,)))
    assert caught.value.status == status


def test_beta_features_of_files():
    built = request(
        UserMessage((file("application/pdf", b"x"), file("image/png", provider_reference={"anthropic": "f"})))
    )
    assert built.betas == ("pdfs-2024-09-25", "files-api-2025-04-14")


def test_documents_to_quote_are_numbered_for_the_answer():
    quoted = {"anthropic": {"citations": {"enabled": True}}}
    files = (
        file("application/pdf", b"x", filename="a.pdf", provider_options=quoted),
        file("application/pdf", b"x", filename="no.pdf"),
        file("text/plain", b"x", provider_options=quoted),
    )
    assert request(UserMessage(files)).citation_documents == (
        CitationDocument("a.pdf", "application/pdf", "a.pdf"),
        CitationDocument("Untitled Document", "text/plain", None),
    )


def test_blank_text_and_empty_text_files_are_left_out():
    content = (TextContent(" \n"), file("text/plain", b" "), TextContent("hi"))
    assert messages_of(UserMessage(content)) == [user_turn(text_block("hi"))]


@pytest.mark.parametrize("messages", [[], [UserMessage(())], [QUESTION, said("a"), UserMessage((TextContent(" "),))]])
def test_nothing_to_answer_is_refused(messages: Sequence[ModelMessage]):
    with pytest.raises(RequestError) as caught:
        build_request(ModelCall(messages=messages), "x")
    assert caught.value.status == 400


def test_lone_surrogates_do_not_reach_the_wire():
    assert messages_of(UserMessage((TextContent("a\ud800"),))) == [user_turn(text_block("a\ufffd"))]


# System messages


def test_system_messages_before_the_conversation_are_instructions():
    body = request(
        SystemMessage("One."), SystemMessage(" "), SystemMessage("Two.", CACHE), QUESTION, system="Zero."
    ).body
    assert body["system"] == [
        text_block("Zero."),
        text_block("One."),
        {**text_block("Two."), "cache_control": {"type": "ephemeral"}},
    ]


def test_system_messages_within_the_conversation_stay_there():
    options = {"anthropic": {"effort": "low", "clearAt": "next_user_message"}}
    built = request(QUESTION, SystemMessage("Now be brief.", options), SystemMessage(""), system="Zero.")
    assert built.body["messages"][1] == {
        "role": "system",
        "content": [text_block("Now be brief.")],
        "clear_at": "next_user_message",
        "output_config": {"effort": "low"},
    }
    assert built.betas == (
        "mid-conversation-system-2026-04-07",
        "mid-conversation-system-clear-at-2026-08-21",
        "mid-conversation-output-config-2026-07-01",
    )


def test_effort_alone_can_come_first():
    built = request(SystemMessage("", {"anthropic": {"effort": "low"}}), QUESTION)
    assert built.body["messages"][0] == {"role": "system", "content": [], "output_config": {"effort": "low"}}
    assert request(SystemMessage("x", {"anthropic": {"effort": "low"}}), QUESTION).warnings


def test_tools_can_change_within_the_conversation():
    changes: Json = [
        {"type": "tool_removal", "toolName": "search"},
        {"type": "tool_addition", "tool": {"type": "function", "name": "t", "inputSchema": {"type": "object"}}},
        {
            "type": "tool_addition",
            "tool": {"type": "provider", "id": "anthropic.bash_20250124", "name": "b", "args": {}},
        },
        {"type": "tool_addition", "tool": {"type": "provider", "id": "anthropic.computer_x", "name": "c", "args": {}}},
        {"type": "tool_addition", "tool": {"type": "provider", "id": "anthropic.odd", "name": "o", "args": {}}},
    ]
    search = ProviderTool(id="anthropic.web_search_20250305", name="search")
    built = request(QUESTION, SystemMessage("", {"anthropic": {"toolChanges": changes}}), system="S", tools=[search])
    assert built.body["messages"][1]["content"] == [
        {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "web_search"}},
        {
            "type": "tool_addition",
            "tool": {"type": "tool_definition", "definition": {"name": "t", "input_schema": {"type": "object"}}},
        },
        {
            "type": "tool_addition",
            "tool": {"type": "tool_definition", "definition": {"type": "bash_20250124", "name": "bash"}},
        },
    ]
    assert "inline-tools-2026-09-15" in built.betas
    left_out = request(QUESTION, SystemMessage("x", {"anthropic": {"toolChanges": changes[4:]}}), system="S")
    assert left_out.body["messages"][1]["content"] == [text_block("x")]
    by_name = request(QUESTION, SystemMessage("", {"anthropic": {"toolChanges": changes[:1]}}), system="S")
    assert "mid-conversation-tool-changes-2026-07-01" in by_name.betas
    assert request(QUESTION, SystemMessage("x", {"anthropic": {"toolChanges": "x"}}), system="S").body["messages"][
        1:
    ] == [{"role": "system", "content": [text_block("x")]}]
