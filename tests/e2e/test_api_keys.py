"""A server that wants an API key, and the page that asks the visitor for it."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.conftest import Visit
from tests.e2e.upstream import WHOLE_TEXT, Upstream
from usechat.testing.replay import Reply


def enter_key(page: ChatPage, key: str) -> None:
    page.page.get_by_test_id("api-key").fill(key)
    page.page.get_by_role("button", name="Use this key").click()


def test_page_asks_for_the_key_and_then_works(visit: Visit, guarded: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    page = visit(guarded)
    expect(page.model_name).to_have_text("API key needed")
    enter_key(page, "second-key")
    expect(page.model_name).to_have_text("claude-sonnet-4-6")
    page.ask("When is high water?")
    expect(page.answer).to_contain_text(WHOLE_TEXT)


def test_page_says_that_a_key_is_wrong(visit: Visit, guarded: str) -> None:
    page = visit(guarded)
    enter_key(page, "third-key")
    expect(page.page.get_by_role("form", name="API key").get_by_role("alert")).to_have_text("The API key is not valid.")


def test_question_without_a_key_shows_the_refusal(visit: Visit, guarded: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    page = visit(guarded)
    page.ask("When is high water?")
    expect(page.error).to_contain_text("An API key is needed")
    assert upstream.requests == []


def test_refused_question_is_answered_once_there_is_a_key(visit: Visit, guarded: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    page = visit(guarded)
    page.ask("When is high water?")
    expect(page.error).to_contain_text("An API key is needed")
    enter_key(page, "first-key")
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    expect(page.error).to_be_hidden()
    page.page.get_by_role("button", name="Forget the API key").click()
    expect(page.page.get_by_test_id("api-key")).to_be_visible()
    expect(page.rows).to_have_count(0)


def test_key_outlives_a_reload_of_the_tab_and_not_the_tab(visit: Visit, guarded: str) -> None:
    page = visit(guarded)
    enter_key(page, "first-key")
    expect(page.model_name).to_have_text("claude-sonnet-4-6")
    page.page.reload()
    expect(page.model_name).to_have_text("claude-sonnet-4-6")
    assert page.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
