"""Whether everybody can use the page: axe-core's rules in light and dark, and a telephone's narrow screen."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.conftest import Visit
from tests.e2e.upstream import OVERLOADED, WHOLE_TEXT, Upstream
from usechat.testing.replay import Reply

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_answer_and_error_break_no_rule_of_axe(
    visit: Visit, replayed: str, upstream: Upstream, scheme: Literal["light", "dark"]
) -> None:
    upstream.will(Reply("text"), OVERLOADED)
    page = visit(replayed, color_scheme=scheme)
    page.ask("When is high water?")
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    page.ask("And low water?")
    expect(page.error).to_be_visible()
    assert page.broken_rules() == []


def test_empty_page_breaks_no_rule_of_axe(visit: Visit, replayed: str) -> None:
    page = visit(replayed)
    expect(page.model_name).to_have_text("claude-sonnet-4-6")
    assert page.broken_rules() == []


def test_question_for_the_api_key_breaks_no_rule_of_axe(visit: Visit, guarded: str) -> None:
    page = visit(guarded)
    expect(page.page.get_by_test_id("api-key")).to_be_visible()
    assert page.broken_rules() == []


def test_telephone_shows_the_conversation_without_scrolling_sideways(
    visit: Visit, replayed: str, upstream: Upstream
) -> None:
    upstream.will(Reply("text"))
    page = visit(replayed, **PHONE)
    page.ask("When is high water? " * 10)
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    assert page.overhang() <= 0
    assert [part for part in (page.prompt, page.send, page.answer) if not is_inside(part, PHONE["viewport"])] == []


def test_keyboard_alone_sends_and_stops(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(Reply("text", hold_after=4), Reply("text"))
    page = visit(replayed)
    keyboard = page.page.keyboard
    expect(page.prompt).to_be_focused()
    keyboard.type("When is")
    keyboard.press("Shift+Enter")
    keyboard.type("high water?")
    keyboard.press("Enter")
    expect(page.answer).to_contain_text("is at")
    for _ in range(5):
        keyboard.press("Tab")
        if page.stop.evaluate("button => button === document.activeElement"):
            break
    keyboard.press("Enter")
    expect(page.answer).to_contain_text("Stopped.")
    expect(page.prompt).to_be_focused()
    assert upstream.requests[0].json["messages"][0]["content"][0]["text"] == "When is\nhigh water?"


def is_inside(part: Locator, viewport: Any) -> bool:
    """Whether a part of the page is in sight, as a whole."""
    box = part.bounding_box()
    assert box is not None
    fits_across = box["x"] >= 0 and box["x"] + box["width"] <= viewport["width"]
    return fits_across and box["y"] >= 0 and box["y"] + box["height"] <= viewport["height"]
