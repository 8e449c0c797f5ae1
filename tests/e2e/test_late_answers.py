"""Answers that come later than what the visitor has done meanwhile: they undo nothing of it, and take no key away."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.conftest import Visit
from tests.e2e.late_answers import Held, let_page_draw
from tests.e2e.test_chats import ADDRESS, question
from tests.e2e.upstream import WHOLE_TEXT, Upstream
from usechat.testing.replay import Reply

AFTER_TWO_WORDS = Reply("text", hold_after=4)
LIST, CHAT = "**/api/chats?*", re.compile(r"/api/chats/[\w-]+$")


def ask(visit: Visit, server: str, upstream: Upstream, *replies: Reply) -> tuple[ChatPage, str]:
    """A page with an answer, and its question."""
    upstream.will(Reply("text"), *replies)
    page, asked = visit(server), question()
    page.ask(asked)
    page.wait_until_answered()
    expect(page.row(asked)).to_be_visible()
    # By then the page has looked at what was saved.
    expect(page.row(asked)).not_to_contain_text("is being answered")
    return page, asked


def look_again(page: Page) -> None:
    """Come back to the tab."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def rename(page: ChatPage, title: str, name: str) -> None:
    page.row(title).get_by_role("button").press("Enter")
    page.page.get_by_role("menuitem", name="Rename").click()
    page.page.keyboard.type(name)
    page.page.keyboard.press("Enter")


def test_chat_that_is_begun_while_the_list_loads_stays_in_the_list(
    visit: Visit, replayed: str, upstream: Upstream
) -> None:
    page, _ = ask(visit, replayed, upstream, AFTER_TWO_WORDS)
    held = Held(page.page, LIST, most=1)
    look_again(page.page)
    held.wait()
    page.page.get_by_test_id("new-chat").click()
    second = question()
    page.ask(second)
    expect(page.row(second)).to_contain_text("is being answered")
    held.release()
    expect(page.row(second)).to_contain_text("is being answered")
    upstream.requests[-1].go_on()
    expect(page.row(second)).not_to_contain_text("is being answered")


def test_chat_that_is_deleted_while_it_is_answered_does_not_come_back(
    visit: Visit, replayed: str, upstream: Upstream
) -> None:
    upstream.will(AFTER_TWO_WORDS)
    page, asked = visit(replayed), question()
    page.ask(asked)
    expect(page.answer).to_contain_text("is at")
    # The page does not know yet that the answer has ended.
    held = Held(page.page, CHAT)
    page.row(asked).get_by_role("button").press("Enter")
    page.page.get_by_role("menuitem", name="Delete").click()
    page.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.row(asked)).to_have_count(0)
    held.wait()
    with page.page.expect_response(LIST):
        look_again(page.page)
    let_page_draw(page.page)
    expect(page.row(asked)).to_have_count(0)


def test_chat_that_is_renamed_while_it_loads_keeps_its_new_name(
    visit: Visit, replayed: str, upstream: Upstream
) -> None:
    page, asked = ask(visit, replayed, upstream)
    page.page.get_by_test_id("new-chat").click()
    held = Held(page.page, CHAT, most=1)
    page.row(asked).get_by_role("link").click()
    held.wait()
    name = f"Tides {uuid4().hex}"
    rename(page, asked, name)
    expect(page.page.get_by_test_id("chat-title")).to_have_text(name)
    held.release()
    expect(page.answers).to_have_count(1)
    expect(page.page.get_by_test_id("chat-title")).to_have_text(name)


def test_last_of_two_names_is_kept(visit: Visit, replayed: str, upstream: Upstream) -> None:
    page, asked = ask(visit, replayed, upstream)
    held = Held(page.page, CHAT, "PATCH", most=1, is_answered=False)
    first, last = f"Tides {uuid4().hex}", f"Water {uuid4().hex}"
    rename(page, asked, first)
    held.wait()
    rename(page, first, last)
    expect(page.row(last)).to_be_visible()
    with page.page.expect_response(lambda it: it.request.method == "PATCH" and last in (it.request.post_data or "")):
        held.release()
    page.page.reload()
    expect(page.row(last)).to_be_visible()


def test_chat_that_was_opened_meanwhile_stays_open_when_another_is_deleted(
    visit: Visit, replayed: str, upstream: Upstream
) -> None:
    page, first = ask(visit, replayed, upstream)
    page.page.get_by_test_id("new-chat").click()
    second = question()
    page.ask(second)
    page.wait_until_answered()
    held = Held(page.page, CHAT, "DELETE")
    page.row(second).get_by_role("button").press("Enter")
    page.page.get_by_role("menuitem", name="Delete").click()
    page.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    held.wait()
    page.page.keyboard.press("Escape")
    page.row(first).get_by_role("link").click()
    expect(page.questions).to_contain_text(first)
    held.release()
    expect(page.row(second)).to_have_count(0)
    expect(page.questions).to_contain_text(first)


def test_question_that_is_sent_while_another_version_loads_is_not_lost(
    visit: Visit, replayed: str, upstream: Upstream
) -> None:
    page, _ = ask(visit, replayed, upstream, Reply("text"), AFTER_TWO_WORDS)
    page.page.get_by_test_id("regenerate").click()
    expect(page.versions(page.answer)).to_contain_text("2 of 2")
    held = Held(page.page, "**/path", "POST")
    page.versions(page.answer).get_by_role("button", name="Previous version").click()
    held.wait()
    page.ask("And low water?")
    expect(page.answers).to_have_count(2)
    held.release()
    expect(page.questions).to_have_count(2)
    upstream.requests[-1].go_on()
    page.wait_until_answered(2)
    expect(page.questions.last).to_contain_text("And low water?")


def test_version_that_was_chosen_last_is_shown(visit: Visit, replayed: str, upstream: Upstream) -> None:
    page, _ = ask(visit, replayed, upstream)
    for number in (2, 3):
        page.page.get_by_test_id("regenerate").click()
        expect(page.versions(page.answer)).to_contain_text(f"{number} of {number}")
    page.versions(page.answer).get_by_role("button", name="Previous version").click()
    expect(page.versions(page.answer)).to_contain_text("2 of 3")
    held = Held(page.page, "**/path", "POST", most=1)
    page.versions(page.answer).get_by_role("button", name="Previous version").click()
    held.wait()
    page.versions(page.answer).get_by_role("button", name="Next version").click()
    let_page_draw(page.page)
    held.release()
    expect(page.versions(page.answer)).to_contain_text("3 of 3")
    page.page.reload()
    expect(page.versions(page.answer)).to_contain_text("3 of 3")


def test_versions_stay_when_an_older_look_at_the_chat_is_answered_last(
    visit: Visit, replayed: str, upstream: Upstream
) -> None:
    upstream.will(Reply("text"))
    page = visit(replayed)
    held = Held(page.page, CHAT, most=1)
    page.ask(question())
    page.wait_until_answered()
    held.wait()
    page.page.get_by_test_id("regenerate").click()
    expect(page.versions(page.answer)).to_contain_text("2 of 2")
    held.release()
    expect(page.versions(page.answer)).to_contain_text("2 of 2")


def test_question_that_is_sent_while_an_ended_answer_is_looked_for_is_not_lost(
    visit: Visit, replayed: str, upstream: Upstream
) -> None:
    page, _ = ask(visit, replayed, upstream)
    loading = Held(page.page, CHAT, most=1)
    page.page.reload()
    loading.wait()
    # It was being answered then, and is not any more.
    loading.answer_with(isAnswering=True, messages=loading.json["messages"][:1], places=loading.json["places"][:1])
    held = Held(page.page, CHAT, most=1)
    held.wait()
    page.prompt.fill("And low water?")
    page.prompt.press("Enter")
    held.release()
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    page.prompt.press("Enter")
    page.wait_until_answered(2)
    expect(page.questions.last).to_contain_text("And low water?")


def test_question_that_follows_a_stop_is_not_stopped_by_it(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(AFTER_TWO_WORDS, Reply("text"))
    page = visit(replayed)
    page.ask(question())
    expect(page.answer).to_contain_text("is at")
    held = Held(page.page, "**/stop", "POST", is_answered=False)
    page.stop.click()
    held.wait()
    page.prompt.fill("And low water?")
    page.prompt.press("Enter")
    let_page_draw(page.page)
    held.release()
    expect(page.answer).to_contain_text("Stopped.")
    expect(page.prompt).to_have_value("And low water?")
    page.send.click()
    page.wait_until_answered(2)
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    expect(page.error).to_be_hidden()


def test_question_is_sent_once_however_often_it_is_tried_again(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    page = visit(replayed)
    expect(page.model_name).to_have_text("claude-sonnet-4-6")
    page.page.context.set_offline(True)
    page.ask(question())
    expect(page.error).to_be_visible()
    page.page.context.set_offline(False)
    posted: list[str] = []
    page.page.on("request", lambda request: posted.append(request.url) if request.url.endswith("/api/chat") else None)
    held = Held(page.page, CHAT)
    page.retry.click()
    page.retry.click()
    held.wait(2)
    held.release()
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    assert len(posted) == 1


def test_end_of_an_earlier_answer_is_not_announced_after_that_of_the_last(
    visit: Visit, browser: Browser, replayed: str, upstream: Upstream
) -> None:
    upstream.will(AFTER_TWO_WORDS, Reply("text"))
    page = visit(replayed)
    page.ask(question())
    expect(page.answer).to_contain_text("is at")
    other = page.beside(browser)
    expect(other.answer).to_contain_text("is at")
    held = Held(page.page, CHAT, most=1)
    other.stop.click()
    held.wait()
    page.ask("And low water?")
    page.wait_until_answered(2)
    status = page.page.get_by_test_id("status")
    expect(status).to_have_text(f"The answer is there: {WHOLE_TEXT}")
    held.release()
    expect(status).to_have_text(f"The answer is there: {WHOLE_TEXT}")


def test_nothing_is_said_of_a_search_that_is_not_answered_yet(visit: Visit, replayed: str, upstream: Upstream) -> None:
    page, asked = ask(visit, replayed, upstream)
    field = page.page.get_by_label("Search chats")
    status = page.page.get_by_role("search").get_by_role("status")
    field.fill("no chat has these words")
    expect(page.page.get_by_text("No chat has “no chat has these words”.")).to_be_visible()
    held = Held(page.page, "**/api/chats?*search=*", most=1)
    field.fill(asked)
    held.wait()
    expect(page.page.get_by_text(f"No chat has “{asked}”.")).to_have_count(0)
    expect(status).to_have_text("")
    held.release()
    expect(page.row(asked)).to_be_visible()
    expect(status).not_to_have_text("")


def test_chat_of_a_server_that_keeps_none_has_no_address_however_late_that_is_known(
    visit: Visit, unsaved: str, upstream: Upstream
) -> None:
    upstream.will(Reply("text"))
    page = visit(unsaved, "/healthz")
    held = Held(page.page, LIST)
    page.page.goto(unsaved)
    held.wait()
    page.ask("When is high water?")
    page.wait_until_answered()
    held.release()
    expect(page.page.get_by_label("Search chats")).to_be_hidden()
    expect(page.page).to_have_url(re.compile(r"/$"))


HOLD_TIMERS = """
() => {
  const { setTimeout } = window;
  const held = [];
  window.setTimeout = (act, time, ...more) => (time ? setTimeout(act, time, ...more) : held.push(act));
  window.letTimersGo = () => {
    window.setTimeout = setTimeout;
    for (const act of held) act();
  };
}
"""


def test_draft_goes_with_a_new_chat_that_gets_its_address_after_it_was_begun(
    visit: Visit, replayed: str, upstream: Upstream
) -> None:
    upstream.will(Reply("text"))
    page = visit(replayed)
    expect(page.prompt).to_be_focused()
    page.page.evaluate(HOLD_TIMERS)
    page.ask(question())
    page.prompt.fill("Half a thou")
    page.prompt.blur()
    page.page.evaluate("window.letTimersGo()")
    expect(page.page).to_have_url(ADDRESS)
    page.wait_until_answered()
    page.page.reload()
    expect(page.prompt).to_have_value("Half a thou")
    page.page.get_by_test_id("new-chat").click()
    expect(page.prompt).to_have_value("")


@pytest.mark.parametrize("pattern", [CHAT, "**/api/info"])
def test_visitor_who_has_come_in_again_stays_so_whatever_comes_late(
    visit: Visit, guarded: str, upstream: Upstream, pattern: str | re.Pattern[str]
) -> None:
    page = visit(guarded)
    enter_key(page)
    upstream.will(Reply("text"))
    asked = question()
    page.ask(asked)
    page.wait_until_answered()
    expect(page.row(asked)).not_to_contain_text("is being answered")
    page.page.get_by_test_id("new-chat").click()
    page.page.context.clear_cookies()
    # A request is refused, or that is looked into, long before the visitor comes in again.
    held = Held(page.page, pattern, most=1)
    page.row(asked).get_by_role("link").click()
    held.wait()
    look_again(page.page)
    form = page.page.get_by_role("region", name="Sign in")
    expect(form).to_be_visible()
    enter_key(page)
    expect(page.answers).to_have_count(1)
    held.release()
    expect(page.model_name).to_have_text("claude-sonnet-4-6")
    expect(form).to_be_hidden()


def enter_key(page: ChatPage) -> None:
    page.page.get_by_test_id("api-key").fill("first-key")
    page.page.get_by_role("button", name="Sign in").click()
