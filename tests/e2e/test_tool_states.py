"""Each state of a tool call, as the page shows it: what can be read of it, what can be done, and axe-core's rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.conftest import Visit
from tests.e2e.test_accessibility import PHONE
from tests.e2e.tool_states import LETTER
from tests.support.programs import ROOT, usechat_serve


@pytest.fixture(scope="module")
def states(folder: Path) -> Iterator[str]:
    """A server with the agent of `tests.e2e.tool_states`."""
    with usechat_serve(
        "tests.e2e.tool_states:agent", folder=folder, is_forked=True, PYTHONPATH=str(ROOT), USECHAT_INSECURE="1"
    ) as server:
        yield server.url


def test_input_is_shown_as_it_grows_and_as_interrupted_after_a_stop(visit: Visit, states: str) -> None:
    page = visit(states)
    page.ask("input")
    card = page.page.get_by_test_id("tool")
    expect(card.locator("summary")).to_contain_text("Preparing")
    expect(card.locator("summary")).to_contain_text("Whitby")
    assert page.broken_rules() == []
    page.stop.click()
    expect(card.locator("summary")).to_contain_text("Interrupted")


def test_preliminary_output_stands_open_while_the_tool_works(visit: Visit, states: str) -> None:
    page = visit(states)
    page.ask("preliminary")
    card = page.page.get_by_test_id("tool")
    expect(card.get_by_role("group", name="Output so far")).to_contain_text("three metres")
    expect(card.locator("summary")).to_contain_text("Working")
    assert page.broken_rules() == []
    page.stop.click()


def test_failure_says_so_without_being_unfolded(visit: Visit, states: str) -> None:
    page = visit(states)
    page.ask("failure")
    page.wait_until_answered()
    card = page.page.get_by_test_id("tool")
    expect(card.locator("summary")).to_contain_text("Failed")
    expect(card.get_by_role("paragraph")).to_be_visible()
    assert page.broken_rules() == []


def test_approval_shows_a_long_input_as_a_whole_and_characters_that_hide(visit: Visit, states: str) -> None:
    page = visit(states, **PHONE)
    page.ask("approval")
    page.wait_for_approval()
    approval = page.page.get_by_test_id("approval")
    shown = approval.inner_text()
    assert str(LETTER["to"]) in shown
    assert "This is the last line." in shown
    # What turns the direction of writing stands there by its number.
    assert "eveU+202Emoc.liveU+202C@example.com" in shown
    assert [text for text in approval.locator("bdi").all() if not is_whole(text)] == []
    assert page.overhang() <= 0
    assert page.broken_rules() == []
    page.approve.press("Enter")
    expect(page.answer).to_contain_text("It brought:")


def test_question_of_a_tool_is_answered_by_keyboard(visit: Visit, states: str) -> None:
    page = visit(states)
    page.ask("question")
    field = page.page.get_by_label("Your answer to locate")
    expect(field).to_be_visible()
    assert page.broken_rules() == []
    field.press_sequentially("By the church")
    field.press("Enter")
    expect(page.answer).to_contain_text("By the church")


def is_whole(text: Locator) -> bool:
    """Whether nothing of an element is cut off or has to be scrolled to inside of it."""
    return text.evaluate("it => it.scrollWidth <= it.clientWidth && it.scrollHeight <= it.clientHeight")
