"""What is no chat with tools: completions, objects, other transports, and a client without any SDK."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.sync_api import expect

from tests.conformance.replies import call, said, text
from tests.e2e.clients.client_page import ClientPage
from tests.e2e.clients.conftest import Open, Oracle
from tests.e2e.upstream import OVERLOADED, WHOLE_TEXT, WORDS, Upstream
from usechat.testing.replay import Reply

QUESTION = "When is high water?"
AFTER_TWO_WORDS = Reply("text", hold_after=4)
TWO_WORDS = "".join(WORDS[:2]).strip()
PAGES = ("/v4/completion/", "/v7/completion/", "/v7/text/", "/v7/websocket/", "/v7/last_message/", "/fetch/chat/")

every_page = pytest.mark.parametrize("path", PAGES)


@every_page
def test_answer_arrives_whole(path: str, open_page: Open, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    page = open_page(path)
    page.ask(QUESTION)
    page.wait_for_end(WHOLE_TEXT)


@every_page
def test_stop_ends_the_answer_and_keeps_what_has_come(
    path: str, open_page: Open, upstream: Upstream, hasty_server: str
) -> None:
    upstream.will(AFTER_TWO_WORDS)
    page = open_page(path, server=hasty_server)
    page.ask(QUESTION)
    page.wait_for(TWO_WORDS)
    page.stop.click()
    page.wait_for_end(TWO_WORDS)
    upstream.requests[0].wait()
    assert upstream.requests[0].is_aborted


@every_page
def test_error_is_shown(path: str, open_page: Open, upstream: Upstream) -> None:
    upstream.will(OVERLOADED)
    page = open_page(path)
    page.ask(QUESTION)
    expect(page.error).to_be_visible()
    expect(page.stop).to_be_hidden()


@pytest.mark.parametrize(("path", "major"), [("/v4/completion/", 4), ("/v7/completion/", 7), ("/v7/text/", 7)])
def test_answer_is_that_of_the_sdks_own_server(
    path: str, major: int, open_page: Open, oracle: Oracle, upstream: Upstream
) -> None:
    upstream.will(Reply("text"))
    ours, theirs = open_page(path), open_page(path, oracle=oracle(major))
    for page in (ours, theirs):
        page.ask(QUESTION)
    assert ours.wait_for_end(WHOLE_TEXT) == theirs.wait_for_end(WHOLE_TEXT)


@pytest.mark.parametrize("major", [4, 7])
def test_object_grows_into_that_of_the_sdks_own_server(
    major: int, open_page: Open, oracle: Oracle, upstream: Upstream
) -> None:
    recipe = '{"title": "Scones", "items": ["flour", "butter", "milk"]}'
    texts = said(text(recipe[:30], recipe[30:]))
    # The SDK's server of 4 has the model call a tool whose input is the object.
    calls = said(call("json", recipe, id="toolu_1"), stop="tool_use")

    def generate(page: ClientPage, reply: Reply) -> str:
        upstream.will(reply)
        page.button("Generate").click()
        expect(page.page.get_by_role("listitem")).to_have_text(["flour", "butter", "milk"])
        expect(page.page.get_by_role("heading")).to_have_text("Scones")
        expect(page.stop).to_be_hidden()
        return page.shown().text

    path = f"/v{major}/object/"
    theirs = generate(open_page(path, oracle=oracle(major)), calls if major == 4 else texts)
    assert generate(open_page(path), texts) == theirs


@pytest.mark.parametrize("path", ["/v7/websocket/", "/v7/last_message/", "/fetch/chat/"])
def test_second_question_carries_the_conversation(path: str, open_page: Open, upstream: Upstream) -> None:
    upstream.will(Reply("text"), said(text("At 20:40.")))
    page = open_page(path)
    page.ask(QUESTION)
    page.wait_for_end(WHOLE_TEXT)
    page.ask("And low water?")
    page.wait_for_end("At 20:40.")
    assert [message["role"] for message in upstream.requests[1].json["messages"]] == ["user", "assistant", "user"]


def test_page_that_sends_its_last_message_only_has_its_chat_after_a_reload(open_page: Open, upstream: Upstream) -> None:
    upstream.will(Reply("text"), said(text("At 20:40.")))
    page = open_page(f"/v7/last_message/?chat={uuid4().hex}")
    page.ask(QUESTION)
    page.wait_for_end(WHOLE_TEXT)
    page.page.reload()
    page.wait_for(WHOLE_TEXT)
    page.ask("And low water?")
    page.wait_for_end("At 20:40.")

    assert [sorted(body) for body in page.posted] == [["id", "message"]] * 2
    assert len(upstream.requests[1].json["messages"]) == 3


def test_hand_written_client_tries_again_after_an_error(open_page: Open, upstream: Upstream) -> None:
    upstream.will(OVERLOADED, Reply("text"))
    page = open_page("/fetch/chat/")
    page.ask(QUESTION)
    page.button("Retry").click()
    shown = page.wait_for_end(WHOLE_TEXT)
    assert "tokens out" in shown.text
    expect(page.error).to_be_hidden()
