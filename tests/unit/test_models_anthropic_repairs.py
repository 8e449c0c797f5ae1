"""Histories in which a server used an id again, as some that speak Anthropic's API do."""

from __future__ import annotations

from typing import Any

import pytest

from usechat.models.anthropic_repairs import repair_messages

ASKED = {"role": "user", "content": [{"type": "text", "text": "Search"}]}


def answer(url: str) -> dict[str, Any]:
    found = [{"type": "web_search_result", "url": url, "title": url, "encrypted_content": "e", "page_age": None}]
    return {
        "role": "assistant",
        "content": [
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "tide"}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": found},
        ],
    }


def searches(messages: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    blocks = [message["content"] for message in messages if message["role"] == "assistant"]
    return [(call["id"], result["tool_use_id"], result["content"][0]["url"]) for call, result in blocks]


@pytest.mark.parametrize(("takes_repeated_ids", "second"), [(False, "srvtoolu_1_2"), (True, "srvtoolu_1")])
def test_each_search_keeps_what_it_found(takes_repeated_ids: bool, second: str):
    history: list[Any] = [ASKED, answer("https://one.example"), ASKED, answer("https://two.example"), ASKED]
    repaired: list[Any] = repair_messages(history, takes_repeated_ids=takes_repeated_ids)
    assert searches(repaired) == [
        ("srvtoolu_1", "srvtoolu_1", "https://one.example"),
        (second, second, "https://two.example"),
    ]
