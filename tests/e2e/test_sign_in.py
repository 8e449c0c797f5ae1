"""A server that answers those it knows, and how the page lets a visitor in and out."""

from __future__ import annotations

from playwright.sync_api import Browser, Locator, Route, expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.conftest import Visit
from tests.e2e.upstream import WHOLE_TEXT, Upstream
from usechat.testing.replay import Reply

STORED = "[localStorage.length, sessionStorage.length, document.cookie]"


def enter_key(page: ChatPage, key: str) -> None:
    page.page.get_by_test_id("api-key").fill(key)
    page.page.get_by_role("button", name="Sign in").click()


def told(page: ChatPage) -> Locator:
    return page.page.get_by_role("region", name="Sign in").get_by_role("alert")


def test_visitor_signs_in_with_a_key_and_chats(visit: Visit, guarded: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    page = visit(guarded)
    expect(page.model_name).to_have_text("Not signed in")
    expect(told(page)).to_have_text("Sign in to chat here.")
    enter_key(page, "second-key")
    expect(page.model_name).to_have_text("claude-sonnet-4-6")
    expect(page.prompt).to_be_focused()
    page.ask("When is high water?")
    expect(page.answer).to_contain_text(WHOLE_TEXT)


def test_page_says_that_a_key_is_wrong_and_forgets_it(visit: Visit, guarded: str) -> None:
    page = visit(guarded)
    enter_key(page, "third-key")
    expect(told(page)).to_contain_text("This key is not valid here.")
    assert page.page.evaluate(STORED) == [0, 0, ""]


def test_question_of_a_stranger_is_answered_once_they_have_signed_in(
    visit: Visit, guarded: str, upstream: Upstream
) -> None:
    upstream.will(Reply("text"))
    asked_before = len(upstream.requests)
    page = visit(guarded)
    page.ask("When is high water?")
    expect(page.error).to_contain_text("You are not signed in.")
    assert len(upstream.requests) == asked_before
    enter_key(page, "first-key")
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    expect(page.error).to_be_hidden()


def test_key_is_exchanged_for_a_session_that_no_script_can_read(visit: Visit, browser: Browser, guarded: str) -> None:
    page = visit(guarded)
    enter_key(page, "first-key")
    expect(page.model_name).to_have_text("claude-sonnet-4-6")
    assert page.page.evaluate(STORED) == [0, 0, ""]
    other = page.beside(browser)
    for tab in (page, other):
        tab.page.reload()
        expect(tab.model_name).to_have_text("claude-sonnet-4-6")


def test_visitor_who_signs_out_has_to_sign_in_again(visit: Visit, guarded: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    page = visit(guarded)
    enter_key(page, "first-key")
    page.ask("When is high water?")
    page.wait_until_answered()
    page.page.get_by_role("button", name="Sign out").click()
    expect(page.page.get_by_test_id("api-key")).to_be_visible()
    expect(page.rows).to_have_count(0)
    expect(page.page.get_by_role("button", name="Sign out")).to_be_hidden()
    page.page.reload()
    expect(page.model_name).to_have_text("Not signed in")


def test_nothing_that_was_written_stays_in_the_browser_of_who_signs_out(
    visit: Visit, guarded: str, upstream: Upstream
) -> None:
    upstream.will(Reply("text"))
    page = visit(guarded)
    enter_key(page, "first-key")
    page.ask("When is high water?")
    page.wait_until_answered()
    page.prompt.fill("Between us")
    page.page.get_by_test_id("new-chat").click()
    expect(page.prompt).to_have_value("")
    assert page.page.evaluate("localStorage.length") == 1
    page.prompt.fill("And this, too")
    page.page.get_by_role("button", name="Sign out").click()
    expect(page.page.get_by_test_id("api-key")).to_be_visible()
    expect(page.prompt).to_have_value("")
    assert page.page.evaluate(STORED) == [0, 0, ""]


def test_stranger_is_offered_no_question_before_they_have_signed_in(visit: Visit, guarded: str) -> None:
    page = visit(guarded)
    starters = page.page.get_by_role("main").get_by_role("list").get_by_role("button")
    expect(page.page.get_by_test_id("api-key")).to_be_visible()
    expect(starters).to_have_count(0)
    enter_key(page, "first-key")
    expect(starters).to_have_count(4)


def test_session_that_ends_in_mid_use_is_begun_anew_and_the_chat_goes_on(
    visit: Visit, guarded: str, upstream: Upstream
) -> None:
    upstream.will(Reply("text"))
    page = visit(guarded)
    enter_key(page, "first-key")
    page.ask("When is high water?")
    page.wait_until_answered()
    page.page.context.clear_cookies()
    page.ask("And low water?")
    expect(told(page)).to_contain_text("You are not signed in any more.")
    enter_key(page, "first-key")
    page.wait_until_answered(2)
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    expect(page.error).to_be_hidden()


def test_key_stays_in_its_tab_where_the_server_makes_no_session(visit: Visit, guarded: str) -> None:
    def refuse(route: Route) -> None:
        route.fulfill(status=404)

    page = visit(guarded)
    page.page.route("**/api/session", refuse)
    enter_key(page, "first-key")
    expect(page.model_name).to_have_text("claude-sonnet-4-6")
    page.page.reload()
    expect(page.model_name).to_have_text("claude-sonnet-4-6")
    assert page.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    page.page.get_by_role("button", name="Sign out").click()
    expect(page.page.get_by_test_id("api-key")).to_be_visible()


def test_page_leads_to_where_visitors_sign_in(visit: Visit, guarded: str) -> None:
    page = visit(guarded)
    expect(page.page.get_by_role("link", name="Go to sign in")).to_have_attribute("href", "/login?from=chat")


def test_visitor_without_a_way_in_is_told_where_to_look(visit: Visit, guarded: str) -> None:
    def refuse(route: Route) -> None:
        ways = {"ways": ["application"], "session": False, "url": None}
        route.fulfill(status=401, json={"detail": "You are not signed in.", "signIn": ways})

    page = visit(guarded)
    page.page.route("**/api/info", refuse)
    page.page.reload()
    expect(page.page.get_by_role("region", name="Sign in")).to_contain_text("where you found the link to this page")
    expect(page.page.get_by_test_id("api-key")).to_have_count(0)
    page.page.unroute("**/api/info")
    page.page.get_by_role("button", name="Look again").click()
    expect(page.page.get_by_test_id("api-key")).to_be_visible()
