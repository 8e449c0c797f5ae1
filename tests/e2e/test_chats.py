"""Saved chats on the page: their addresses, the list of them, their versions, and answers that outlive a reload."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from playwright.sync_api import APIResponse, Browser, Route, expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.conftest import Visit
from tests.e2e.upstream import WHOLE_TEXT, Upstream, long_until
from usechat.testing.replay import Reply

ADDRESS = re.compile(r"/\?chat=[\w-]{20,}$")
LAST_OF_LONG = "The square of 80"


def question() -> str:
    """One that no other test asks: the tests share their server's list."""
    return f"When is high water on day {uuid4().hex[:8]}?"


@pytest.fixture
def asked(visit: Visit, replayed: str, upstream: Upstream) -> tuple[ChatPage, str]:
    """A page with an answer, and its question."""
    upstream.will(Reply("text"))
    page, asked = visit(replayed), question()
    page.ask(asked)
    page.wait_until_answered()
    expect(page.row(asked)).to_be_visible()
    # By then the page has looked at what was saved.
    expect(page.row(asked)).not_to_contain_text("is being answered")
    return page, asked


def test_chat_has_an_address_from_its_first_message_on_and_outlives_a_reload(asked: tuple[ChatPage, str]) -> None:
    page, text = asked
    expect(page.page).to_have_url(ADDRESS)
    expect(page.row(text)).to_have_attribute("data-current", "true")
    page.page.reload()
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    expect(page.questions).to_have_text(re.compile(re.escape(text)))
    expect(page.page).to_have_title(re.compile(re.escape(text)))
    assert page.complaints == []


def test_back_and_forward_lead_through_chats(asked: tuple[ChatPage, str], upstream: Upstream) -> None:
    page, first = asked
    second = question()
    page.page.get_by_test_id("new-chat").click()
    expect(page.questions).to_have_count(0)
    page.ask(second)
    page.wait_until_answered()

    page.page.go_back()
    expect(page.page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    page.page.go_back()
    expect(page.questions).to_contain_text(first)
    page.page.go_forward()
    page.page.go_forward()
    expect(page.questions).to_contain_text(second)
    assert page.complaints == []


@pytest.mark.parametrize("address", ["/?chat=nobody-has-this", "/?chat=%00", f"/?chat={'x' * 2000}"])
def test_address_of_no_chat_says_so_and_leads_to_a_new_one(visit: Visit, replayed: str, address: str) -> None:
    page = visit(replayed, address)
    expect(page.page.get_by_role("heading", name="This chat is not here")).to_be_visible()
    assert page.broken_rules() == []
    page.page.get_by_role("button", name="Start a new chat").click()
    expect(page.prompt).to_be_focused()
    expect(page.page).to_have_url(re.compile(r"/$"))


def test_answer_is_whole_after_reloads_in_its_middle_and_in_a_second_tab(
    visit: Visit, browser: Browser, replayed: str, upstream: Upstream
) -> None:
    upstream.will(long_until("The square of 5 is 25"))
    page = visit(replayed)
    page.ask(question())
    expect(page.answer).to_contain_text("The square of 3 is 9")
    page.page.reload()
    expect(page.stop).to_be_visible()
    expect(page.answer).to_contain_text("The square of 5 is 25")
    other = page.beside(browser)
    expect(other.answer).to_contain_text("The square of 5 is 25")
    upstream.requests[0].go_on()
    expect(other.answer).to_contain_text("The square of 6 is 36")
    page.page.reload()
    for tab in (page, other):
        tab.wait_until_answered()
        expect(tab.answer).to_contain_text(LAST_OF_LONG)
        expect(tab.questions).to_have_count(1)
        expect(tab.error).to_be_hidden()


def test_stop_in_one_tab_ends_the_answer_in_both_and_is_kept(visit: Visit, browser: Browser, demo: str) -> None:
    page = visit(demo)
    page.ask("long")
    expect(page.answer).to_contain_text("The square of 3 is 9")
    other = page.beside(browser)
    expect(other.answer).to_contain_text("The square of 5 is 25")
    other.stop.click()
    page.wait_until_answered()
    page.page.reload()
    expect(page.answer).to_contain_text("The square of 5 is 25")
    expect(page.answer).to_contain_text("Stopped.")
    expect(page.stop).to_be_hidden()
    expect(page.answer).not_to_contain_text(LAST_OF_LONG)


def test_end_of_an_answer_that_was_too_long_is_told_again_after_a_reload(
    visit: Visit, replayed: str, upstream: Upstream
) -> None:
    upstream.will(Reply("stop-max-tokens"))
    page = visit(replayed)
    page.ask(question())
    expect(page.answer).to_contain_text("reached its longest length")
    page.page.reload()
    expect(page.answer).to_contain_text("reached its longest length")


def test_failed_answer_says_so_after_a_reload_and_no_more_once_it_is_answered_again(
    visit: Visit, replayed: str, upstream: Upstream
) -> None:
    upstream.will(Reply("error-midway"))
    page = visit(replayed)
    page.ask(question())
    expect(page.error).to_be_visible()
    page.page.reload()
    expect(page.answer).to_contain_text("An error ended this answer.")
    upstream.will(Reply("text"))
    page.page.get_by_test_id("regenerate").click()
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    expect(page.answer).not_to_contain_text("An error")


def test_answer_goes_on_while_another_chat_is_read(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(long_until("The square of 3 is 9"))
    page, title = visit(replayed), question()
    page.ask(title)
    expect(page.answer).to_contain_text("The square of 3 is 9")
    page.page.get_by_test_id("new-chat").click()
    expect(page.row(title)).to_contain_text("is being answered")
    upstream.requests[0].go_on()
    expect(page.row(title)).not_to_contain_text("is being answered")
    page.row(title).get_by_role("link").click()
    expect(page.answer).to_contain_text(LAST_OF_LONG)


def test_tab_shows_what_another_has_added_when_it_is_looked_at(
    asked: tuple[ChatPage, str], browser: Browser, upstream: Upstream
) -> None:
    page, _ = asked
    other = page.beside(browser)
    expect(other.answers).to_have_count(1)
    other.ask("And low water?")
    other.wait_until_answered(2)
    page.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.questions.last).to_contain_text("And low water?")
    expect(page.answers).to_have_count(2)


def test_chat_is_renamed_by_mouse_and_by_keyboard(asked: tuple[ChatPage, str]) -> None:
    page, text = asked
    first, second = f"Tides {uuid4().hex}", f"Water {uuid4().hex}"
    page.row(text).hover()
    page.row(text).get_by_role("button").click()
    page.page.get_by_role("menuitem", name="Rename").click()
    page.page.get_by_label("New name of the chat").fill(first)
    page.page.keyboard.press("Enter")
    expect(page.page.get_by_test_id("chat-title")).to_have_text(first)

    page.row(first).get_by_role("link").focus()
    for key in ("Tab", "Enter", "ArrowDown", "ArrowUp", "Enter"):
        page.page.keyboard.press(key)
    page.page.keyboard.type(second)
    with page.page.expect_response(lambda response: response.request.method == "PATCH"):
        page.page.keyboard.press("Enter")
    expect(page.row(second).get_by_role("link")).to_be_focused()
    page.page.reload()
    expect(page.row(second)).to_be_visible()

    page.page.keyboard.press("Tab")
    page.row(second).get_by_role("button").press("Enter")
    page.page.keyboard.press("Enter")
    page.page.keyboard.type("not this")
    page.page.keyboard.press("Escape")
    expect(page.row(second)).to_be_visible()


def test_renamed_chat_has_the_focus_before_the_browser_draws(asked: tuple[ChatPage, str]) -> None:
    page, text = asked
    page.row(text).get_by_role("button").press("Enter")
    page.page.keyboard.press("Enter")
    name = f"Tides {uuid4().hex}"
    page.page.keyboard.type(name)
    page.page.evaluate("window.requestAnimationFrame = () => 0")
    page.page.keyboard.press("Enter")
    expect(page.row(name).get_by_role("link")).to_be_focused()


@pytest.mark.parametrize("change", ["rename", "delete"])
def test_list_that_was_asked_for_before_a_change_does_not_undo_it(asked: tuple[ChatPage, str], change: str) -> None:
    page, text = asked
    held: list[tuple[Route, APIResponse]] = []
    page.page.route("**/api/chats?*", lambda route: held.append((route, route.fetch())))
    with page.page.expect_request("**/api/chats?*"):
        page.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    new = f"Tides {uuid4().hex}"
    page.row(text).get_by_role("button").press("Enter")
    if change == "rename":
        page.page.get_by_role("menuitem", name="Rename").click()
        page.page.keyboard.type(new)
        with page.page.expect_response(lambda response: response.request.method == "PATCH"):
            page.page.keyboard.press("Enter")
    else:
        page.page.get_by_role("menuitem", name="Delete").click()
        page.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        expect(page.row(text)).to_have_count(0)
    route, before = held[-1]
    listed = before.json()
    other = {**listed["chats"][0], "id": uuid4().hex, "title": f"Another {uuid4().hex}"}
    route.fulfill(response=before, json={**listed, "chats": [*listed["chats"], other]})
    expect(page.row(other["title"])).to_be_visible()
    expect(page.row(new)).to_have_count(1 if change == "rename" else 0)
    expect(page.row(text)).to_have_count(0)


def test_chat_is_deleted_once_that_is_confirmed(asked: tuple[ChatPage, str]) -> None:
    page, text = asked
    for key in ("Escape", "Cancel"):
        page.row(text).get_by_role("button").press("Enter")
        page.page.get_by_role("menuitem", name="Delete").click()
        assert page.broken_rules() == []
        if key == "Escape":
            page.page.keyboard.press(key)
        else:
            page.page.get_by_role("button", name=key).click()
        expect(page.page.get_by_role("dialog")).to_be_hidden()
        expect(page.row(text)).to_be_visible()
    page.row(text).get_by_role("button").press("Enter")
    page.page.get_by_role("menuitem", name="Delete").click()
    page.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.row(text)).to_have_count(0)
    expect(page.page.get_by_role("heading", name="What would you like to know?")).to_be_visible()


def test_edited_question_is_a_version_beside_the_first(asked: tuple[ChatPage, str], upstream: Upstream) -> None:
    page, text = asked
    page.questions.last.hover()
    page.page.get_by_test_id("edit").click()
    page.page.get_by_test_id("edit-field").fill("And low water?")
    page.page.get_by_role("button", name="Send", exact=True).first.click()
    page.wait_until_answered()
    expect(page.versions(page.questions)).to_contain_text("2 of 2")
    said = upstream.requests[-1].json["messages"]
    assert [message["role"] for message in said] == ["user"]

    page.page.get_by_role("button", name="Previous version").click()
    expect(page.questions).to_contain_text(text)
    expect(page.versions(page.questions)).to_contain_text("1 of 2")
    page.page.reload()
    expect(page.questions).to_contain_text(text)
    page.page.get_by_role("button", name="Next version").press("Enter")
    expect(page.questions).to_contain_text("And low water?")
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    assert page.complaints == []


def test_keyboard_edits_the_last_question_and_gives_it_up(asked: tuple[ChatPage, str]) -> None:
    page, text = asked
    keyboard = page.page.keyboard
    expect(page.prompt).to_be_focused()
    keyboard.press("ArrowUp")
    expect(page.page.get_by_test_id("edit-field")).to_be_focused()
    keyboard.type(" Or not?")
    keyboard.press("Escape")
    expect(page.prompt).to_be_focused()
    expect(page.questions).to_contain_text(text)
    keyboard.press("ArrowUp")
    keyboard.type(" Or not?")
    keyboard.press("Enter")
    expect(page.questions).to_contain_text(f"{text} Or not?")
    page.wait_until_answered()
    expect(page.versions(page.questions)).to_contain_text("2 of 2")


def test_second_answer_is_a_version_beside_the_first(asked: tuple[ChatPage, str], upstream: Upstream) -> None:
    page, _ = asked
    page.page.get_by_test_id("regenerate").click()
    expect(page.versions(page.answer)).to_contain_text("2 of 2")
    page.versions(page.answer).get_by_role("button", name="Previous version").click()
    expect(page.versions(page.answer)).to_contain_text("1 of 2")
    # A message that follows goes on from the version that is shown.
    page.ask("Thanks.")
    page.wait_until_answered(2)
    expect(page.versions(page.answers.first)).to_contain_text("1 of 2")
    page.answers.first.hover()
    page.answers.first.get_by_test_id("regenerate").click()
    expect(page.versions(page.answers.first)).to_contain_text("3 of 3")
    expect(page.answers).to_have_count(1)


def test_search_leads_to_the_message_and_its_branch(asked: tuple[ChatPage, str], upstream: Upstream) -> None:
    page, text = asked
    word = f"lighthouse{uuid4().hex[:8]}"
    page.page.get_by_test_id("regenerate").click()
    expect(page.versions(page.answer)).to_contain_text("2 of 2")
    page.ask(f"What is a {word}?")
    page.wait_until_answered(2)
    page.versions(page.answers.first).get_by_role("button", name="Previous version").click()
    expect(page.answers).to_have_count(1)

    page.page.keyboard.press("Control+k")
    page.page.keyboard.type(word.upper())
    expect(page.rows).to_have_count(1)
    expect(page.rows).to_contain_text(text)
    page.rows.get_by_role("link").click()
    found = page.page.locator("[data-found=true]")
    expect(found).to_contain_text(word)
    expect(found).to_be_in_viewport()
    page.page.get_by_role("button", name="Clear the search").click()
    expect(page.row(text)).to_be_visible()

    page.page.get_by_label("Search chats").fill("no chat has these words")
    expect(page.page.get_by_text("No chat has “no chat has these words”.")).to_be_visible()


def test_title_of_the_open_chat_stays_while_a_search_does_not_find_it(asked: tuple[ChatPage, str]) -> None:
    page, text = asked
    title = page.page.get_by_test_id("chat-title")
    expect(title).to_have_text(text)
    page.page.get_by_label("Search chats").fill("no chat has these words")
    expect(page.page.get_by_text("No chat has “no chat has these words”.")).to_be_visible()
    expect(title).to_have_text(text)
    expect(page.page).to_have_title(re.compile(re.escape(text)))


def test_search_field_stays_within_the_list(visit: Visit, replayed: str) -> None:
    page = visit(replayed)
    expect(page.prompt).to_be_focused()
    field = page.page.get_by_role("search")
    before = field.bounding_box()
    page.page.get_by_label("Search chats").fill("words")
    expect(page.page.get_by_role("button", name="Clear the search")).to_be_visible()
    assert field.bounding_box() == before


def test_long_list_goes_on_as_it_is_scrolled(visit: Visit, replayed: str) -> None:
    page = visit(replayed)
    made = f"Kept {uuid4().hex[:8]}"
    page.page.evaluate(
        """async (title) => {
          for (let number = 0; number < 50; number++) {
            const parts = [{ type: 'text', text: `${title} ${number}.` }];
            const body = { id: crypto.randomUUID(), messages: [{ id: 'q', role: 'user', parts }] };
            await (await fetch('/api/chat', {
              method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
            })).text();
          }
        }""",
        made,
    )
    page.page.reload()
    expect(page.row(f"{made} 49.")).to_be_visible()
    expect(page.row(f"{made} 0.")).to_have_count(0)
    page.rows.last.scroll_into_view_if_needed()
    expect(page.row(f"{made} 0.")).to_have_count(1)
    # Another tab has changed a title. The list is asked for again when this one is looked at, and stays where it is.
    page.row(f"{made} 0.").scroll_into_view_if_needed()
    page.page.route("**/api/chats?*cursor=*", lambda _route: None)
    page.page.evaluate(
        """async (title) => {
          const { chats } = await (await fetch('/api/chats?limit=1')).json();
          await fetch(`/api/chats/${chats[0].id}`, {
            method: 'PATCH', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ title }),
          });
          document.dispatchEvent(new Event('visibilitychange'));
        }""",
        f"{made} changed",
    )
    expect(page.row(f"{made} changed")).to_have_count(1)
    expect(page.row(f"{made} 0.")).to_be_in_viewport()


def test_draft_outlives_a_reload_and_is_gone_when_sent(asked: tuple[ChatPage, str]) -> None:
    page, text = asked
    page.prompt.fill("Half a thou")
    page.page.get_by_test_id("new-chat").click()
    expect(page.prompt).to_have_value("")
    page.prompt.fill("Another one")
    page.page.reload()
    expect(page.prompt).to_have_value("Another one")
    page.row(text).get_by_role("link").click()
    expect(page.prompt).to_have_value("Half a thou")
    page.prompt.press("Enter")
    page.wait_until_answered(2)
    page.page.reload()
    expect(page.answers).to_have_count(2)
    expect(page.prompt).to_have_value("")


def test_server_that_keeps_no_chats_has_no_list_and_no_addresses(
    visit: Visit, unsaved: str, upstream: Upstream
) -> None:
    upstream.will(Reply("text"))
    page = visit(unsaved)
    expect(page.page.get_by_label("Search chats")).to_be_hidden()
    page.ask("When is high water?")
    page.wait_until_answered()
    expect(page.page).to_have_url(re.compile(r"/$"))
    page.page.get_by_test_id("regenerate").click()
    page.wait_until_answered()
    assert [complaint for complaint in page.complaints if "404" not in complaint] == []
