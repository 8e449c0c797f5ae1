"""What those are told who cannot see the page: once, when an answer has ended, and how."""

from __future__ import annotations

from collections.abc import Sequence

from playwright.sync_api import Browser, expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.conftest import Visit
from tests.e2e.upstream import OVERLOADED, WHOLE_TEXT, Upstream
from usechat.testing.replay import Reply

NOTE_ANNOUNCEMENTS = """
() => {
  window.announced = [];
  const note = () => {
    for (const region of document.querySelectorAll('[role=status], [role=alert], [aria-live=polite]')) {
      const text = region.textContent;
      if (text && text !== window.announced.at(-1)) window.announced.push(text);
    }
  };
  new MutationObserver(note).observe(document, { childList: true, characterData: true, subtree: true });
}
"""
STOPPED = "The answer was stopped."


def announced(page: ChatPage) -> Sequence[str]:
    return page.page.evaluate("window.announced")


def test_end_of_an_answer_is_announced_once(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(Reply("text", delay=0.05))
    page = visit(replayed)
    page.page.evaluate(NOTE_ANNOUNCEMENTS)
    page.ask("When is high water?")
    page.wait_until_answered()
    expect(page.page.get_by_test_id("status")).to_have_text(f"The answer is there: {WHOLE_TEXT}")
    assert announced(page) == [f"The answer is there: {WHOLE_TEXT}"]
    assert page.page.get_by_role("log").get_attribute("aria-live") == "off"


def test_answer_that_was_stopped_is_not_announced_as_there(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(Reply("text", hold_after=4), Reply("text", hold_after=0), Reply("text"))
    page = visit(replayed)
    page.page.evaluate(NOTE_ANNOUNCEMENTS)
    page.ask("When is high water?")
    expect(page.answer).to_contain_text("is at")
    page.stop.click()
    expect(page.page.get_by_test_id("status")).to_have_text(STOPPED)
    page.ask("And low water?")
    expect(page.page.get_by_test_id("status")).to_have_text("")
    page.stop.click()  # Before its first word.
    expect(page.page.get_by_test_id("status")).to_have_text(STOPPED)
    page.ask("And tomorrow?")
    expect(page.page.get_by_test_id("status")).to_have_text(f"The answer is there: {WHOLE_TEXT}")
    assert announced(page) == [STOPPED, f"The answer is there: {WHOLE_TEXT}"]


def test_answer_that_another_tab_has_stopped_is_announced_as_stopped(
    visit: Visit, browser: Browser, replayed: str, upstream: Upstream
) -> None:
    upstream.will(Reply("text", hold_after=4))
    page = visit(replayed)
    page.page.evaluate(NOTE_ANNOUNCEMENTS)
    page.ask("When is high water?")
    expect(page.answer).to_contain_text("is at")
    other = page.beside(browser)
    expect(other.answer).to_contain_text("is at")
    other.stop.click()
    expect(page.page.get_by_test_id("status")).to_have_text(STOPPED)
    assert announced(page) == [STOPPED]


def test_failed_answer_is_announced_by_its_error_alone(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(OVERLOADED)
    page = visit(replayed)
    page.page.evaluate(NOTE_ANNOUNCEMENTS)
    page.ask("When is high water?")
    expect(page.error).to_be_visible()
    assert announced(page) == [page.error.text_content()]
