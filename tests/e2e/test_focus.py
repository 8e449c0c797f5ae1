"""Keys reach what the visitor has gone to, also those that are pressed before something late has come."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.conftest import Visit
from tests.e2e.late_answers import Held
from tests.e2e.test_accessibility import PHONE
from tests.e2e.test_chats import question
from tests.e2e.test_late_answers import AFTER_TWO_WORDS, CHAT, ask
from tests.e2e.upstream import WHOLE_TEXT, Upstream


def search_while(page: ChatPage, held: Held) -> None:
    """Begin to write into the field for searches, and go on when something late has come."""
    keyboard, field = page.page.keyboard, page.page.get_by_label("Search chats")
    keyboard.press("Control+k")
    expect(field).to_be_focused()
    keyboard.type("high ")
    held.release()
    keyboard.type("water")
    expect(field).to_have_value("high water")
    expect(page.prompt).to_have_value("")


def test_key_that_follows_the_shortcut_of_the_search_reaches_its_field(visit: Visit, replayed: str) -> None:
    for viewport in ({"width": 1280, "height": 720}, {"width": 700, "height": 720}):
        page = visit(replayed, viewport=viewport)
        expect(page.prompt).to_be_focused()
        if page.page.get_by_label("Search chats").is_visible():
            page.page.keyboard.press("Control+b")
        expect(page.page.get_by_label("Search chats")).to_be_hidden()
        page.page.evaluate("window.requestAnimationFrame = () => 0")
        page.page.keyboard.press("Control+k")
        page.page.keyboard.type("high water")
        expect(page.page.get_by_label("Search chats")).to_have_value("high water")


def test_chat_that_has_loaded_leaves_the_focus_where_the_visitor_has_gone(
    visit: Visit, replayed: str, upstream: Upstream
) -> None:
    page, asked = ask(visit, replayed, upstream)
    page.page.get_by_test_id("new-chat").click()
    held = Held(page.page, CHAT, most=1)
    page.row(asked).get_by_role("link").click()
    held.wait()
    search_while(page, held)


def test_chat_that_has_loaded_takes_the_focus_of_who_waits_for_it(
    visit: Visit, replayed: str, upstream: Upstream
) -> None:
    page, asked = ask(visit, replayed, upstream, AFTER_TWO_WORDS)
    page.page.get_by_test_id("new-chat").click()
    expect(page.prompt).to_be_focused()
    running = question()
    page.ask(running)
    expect(page.answer).to_contain_text("is at")
    for title in (asked, running, asked):
        page.row(title).get_by_role("link").click()
        expect(page.questions).to_contain_text(title)
        expect(page.prompt).to_be_focused()


def test_visitor_who_is_let_in_goes_on_where_they_have_gone(visit: Visit, guarded: str) -> None:
    page = visit(guarded)
    held = Held(page.page, "**/api/session", "POST")
    page.page.get_by_test_id("api-key").fill("first-key")
    page.page.get_by_role("button", name="Sign in").click()
    held.wait()
    search_while(page, held)
    expect(page.page.get_by_test_id("api-key")).to_be_hidden()
    expect(page.page.get_by_label("Search chats")).to_be_focused()


def test_words_that_are_written_before_the_page_listens_count(visit: Visit, replayed: str, upstream: Upstream) -> None:
    page, asked = ask(visit, replayed, upstream)
    page.page.get_by_test_id("new-chat").click()
    scripts = Held(page.page, "**/_next/**/*.js", is_answered=False)
    page.page.reload(wait_until="commit")
    scripts.wait()
    page.prompt.fill("And low water?")
    page.page.get_by_label("Search chats").fill(asked)
    scripts.release()
    expect(page.rows).to_have_count(1)
    expect(page.send).to_be_enabled()
    page.send.click()
    expect(page.answer).to_contain_text(WHOLE_TEXT)


def test_field_that_is_touched_before_the_page_listens_keeps_the_focus(visit: Visit, replayed: str) -> None:
    page = visit(replayed, **PHONE)
    scripts = Held(page.page, "**/_next/**/*.js", is_answered=False)
    page.page.reload(wait_until="commit")
    scripts.wait()
    page.prompt.tap()
    page.page.keyboard.type("When is ")
    scripts.release()
    expect(page.model_name).to_have_text("claude-sonnet-4-6")
    page.page.keyboard.type("high water?")
    expect(page.prompt).to_have_value("When is high water?")
    expect(page.send).to_be_enabled()
