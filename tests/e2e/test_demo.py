"""Everything an answer can be made of, as the page shows it while the demo plays it."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.conftest import Visit
from tests.e2e.pictures import NAMES, take_pictures
from tests.e2e.screenshot import HEIGHT, WIDTH, take_picture

DESKTOP: ViewportSize = {"width": 1280, "height": 720}
TELEPHONE: ViewportSize = {"width": 360, "height": 740}


@pytest.fixture
def tour(begun_tour: ChatPage) -> ChatPage:
    """The tour up to where it waits for the visitor's approval; the tests look at it in turn."""
    begun_tour.wait_for_approval()
    return begun_tour


def test_page_and_notice_say_that_the_demo_answers(tour: ChatPage) -> None:
    expect(tour.model_name).to_contain_text("Demo")
    expect(tour.page.get_by_label("About the model")).to_contain_text("a script, not a model")


def test_notice_of_several_lines_stands_beside_its_icon(visit: Visit, demo: str) -> None:
    page = visit(demo, viewport={"width": 840, "height": 700})
    notice = page.page.get_by_label("About the model")
    words, icon = notice.locator("p").bounding_box(), notice.locator("svg").bounding_box()
    assert words
    assert icon
    assert words["height"] > 30
    assert icon["x"] + icon["width"] <= words["x"]


def test_reasoning_is_folded_away_once_it_is_over(tour: ChatPage) -> None:
    reasoning = tour.answer.locator("[data-kind=reasoning]")
    expect(reasoning).not_to_have_attribute("open", re.compile(".*"))
    expect(reasoning).to_contain_text("how many squares are on a chess board")
    expect(reasoning.locator("summary")).to_have_text(re.compile(r"Thought for \d+ s"))


def test_markdown_becomes_a_table_and_a_block_of_code(tour: ChatPage) -> None:
    expect(tour.answer.get_by_role("group", name="Table")).to_contain_text("UI message stream")
    expect(tour.answer.get_by_role("group", name="Code")).to_contain_text("return stream_text(demo(), messages=")


def test_tool_call_shows_its_input_and_its_output(tour: ChatPage) -> None:
    weather = tour.answer.get_by_role("group", name="Tool get_weather")
    expect(weather).to_have_attribute("data-state", "output-available")
    expect(weather).to_contain_text('"city": "Lisbon"')
    expect(weather).to_contain_text('"temperature"')


def test_sources_are_listed_once_each_with_their_links(tour: ChatPage) -> None:
    links = tour.page.get_by_test_id("sources").get_by_role("link")
    expect(links).to_have_count(2)
    expect(links.first).to_have_attribute("href", re.compile("^https://html.spec.whatwg.org/"))


def test_file_is_shown_as_a_picture(tour: ChatPage) -> None:
    width = tour.answer.get_by_role("img").evaluate("image => image.decode().then(() => image.naturalWidth)")
    assert width > 0


def test_cited_sentence_is_one_paragraph_with_the_numbers_of_its_sources(tour: ChatPage) -> None:
    sentence = tour.answer.get_by_role("paragraph").filter(has_text="Server-sent events let a server push data")
    expect(sentence).to_have_text(re.compile(r"over plain HTTP,\s*1\s*and every browser of today can read them\.\s*2"))
    expect(sentence.get_by_role("button")).to_have_count(2)


def test_number_of_a_source_shows_what_the_source_says(tour: ChatPage) -> None:
    preview = tour.page.get_by_test_id("citation-preview")
    tour.answer.get_by_role("button", name="Source 2: Server-sent events - Wikipedia").click()
    expect(preview).to_contain_text("All major browsers support server-sent events")
    tour.page.keyboard.press("Escape")
    expect(preview).to_have_count(0)
    tour.answer.get_by_role("button", name="Source 1:").focus()
    tour.page.keyboard.press("Enter")
    expect(preview.get_by_role("link")).to_have_attribute("href", re.compile("^https://html.spec.whatwg.org/"))
    tour.page.keyboard.press("Escape")
    expect(preview).to_have_count(0)


def test_preview_of_a_source_stays_when_its_number_is_clicked_and_scrolled(tour: ChatPage) -> None:
    preview = tour.page.get_by_test_id("citation-preview")
    number = tour.answer.get_by_role("button", name="Source 2:")
    log = tour.page.get_by_role("log")
    log.hover(position={"x": 5, "y": 5})
    number.hover()
    expect(preview).to_be_visible()
    number.click()
    is_shown = (
        "() => new Promise(done => setTimeout(() => done(document.querySelector(':popover-open') !== null), 400))"
    )
    assert tour.page.evaluate(is_shown)
    log.evaluate("log => log.scrollBy(0, -60)")
    assert tour.page.evaluate(is_shown)
    log.click(position={"x": 5, "y": 5})
    expect(preview).to_have_count(0)
    number.hover()
    expect(preview).to_be_visible()
    log.hover(position={"x": 5, "y": 5})
    expect(preview).to_have_count(0)


def test_what_is_brought_into_sight_moves_the_conversation_and_not_the_page(tour: ChatPage) -> None:
    tour.answer.get_by_role("group", name="Table").evaluate("table => table.scrollIntoView({ block: 'start' })")
    expect(tour.page.get_by_test_id("chat-title")).to_be_in_viewport(ratio=1)
    assert tour.page.evaluate("document.documentElement.scrollHeight - innerHeight") <= 0


def test_formulas_are_drawn(tour: ChatPage) -> None:
    expect(tour.answer.locator("[data-math] math")).to_have_count(2)


def test_code_is_coloured_and_stays_the_same_text(tour: ChatPage) -> None:
    code = tour.answer.get_by_role("group", name="Code")
    expect(code.locator("span[class]").filter(has_text=re.compile("^return$"))).to_have_count(1)
    expect(code).to_have_text(
        '@app.post("/api/chat")\nasync def chat(chat: ChatRequest):\n'
        "    return stream_text(demo(), messages=chat.messages).response(chat)",
        use_inner_text=True,
    )


def test_progress_is_one_bar_with_its_last_value(tour: ChatPage) -> None:
    bar = tour.answer.get_by_role("progressbar")
    expect(bar).to_have_count(1)
    expect(bar).to_have_attribute("aria-valuetext", "5 of 5")


def test_chart_has_its_numbers_in_a_table_for_those_who_cannot_see_it(tour: ChatPage) -> None:
    chart = tour.answer.get_by_role("figure", name="Temperatures of a week")
    expect(chart.get_by_role("row")).to_have_count(3)
    expect(chart.get_by_role("row", name="Oslo").get_by_role("cell")).to_have_count(7)


def test_approval_shows_all_of_the_input_before_its_buttons(tour: ChatPage) -> None:
    tour.page.set_viewport_size(TELEPHONE)
    approval = tour.page.get_by_test_id("approval")
    places: list[float] = []
    for text in ("ada@example.com", "This e-mail was written by usechat's demo."):
        value = approval.get_by_text(text)
        box = value.bounding_box()
        assert box is not None
        assert value.evaluate("it => it.scrollWidth <= it.clientWidth && it.scrollHeight <= it.clientHeight")
        places.append(box["y"] + box["height"])
    button = tour.approve.bounding_box()
    tour.page.set_viewport_size(DESKTOP)
    assert button is not None
    assert max(places) <= button["y"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_part_unfolded_breaks_no_rule_of_axe(tour: ChatPage, scheme: Literal["light", "dark"]) -> None:
    tour.page.emulate_media(color_scheme=scheme)
    unfolded = tour.page.locator("details:not([open])").element_handles()
    for details in unfolded:
        details.evaluate("details => { details.open = true; }")
    broken = tour.broken_rules()
    for details in unfolded:
        details.evaluate("details => { details.open = false; }")
    assert broken == []


def test_no_part_is_wider_than_a_telephone(tour: ChatPage) -> None:
    tour.page.set_viewport_size(TELEPHONE)
    overhang = tour.overhang()
    tour.page.set_viewport_size(DESKTOP)
    assert overhang <= 0


def test_name_of_a_tool_stays_in_one_line_on_a_telephone(tour: ChatPage) -> None:
    tour.page.set_viewport_size(TELEPHONE)
    name = tour.page.get_by_role("group", name="Tool send_email").locator("summary").bounding_box()
    tour.page.set_viewport_size(DESKTOP)
    assert name is not None
    assert name["height"] < 60


def test_browser_complains_of_nothing_on_the_tour(tour: ChatPage) -> None:
    assert tour.complaints == []


# The last one to look at the tour: from here on it goes on.
def test_approved_tool_runs_and_the_answer_goes_on_to_its_end(tour: ChatPage) -> None:
    tour.approve.click()
    expect(tour.answer).to_contain_text("You agreed, so the tool ran.")
    expect(tour.page.get_by_role("group", name="Tool send_email")).to_have_attribute("data-state", "output-available")
    expect(tour.error).to_be_visible()


def test_denied_tool_does_not_run_and_the_model_is_told(visit: Visit, demo: str) -> None:
    page = visit(demo)
    page.ask("approval")
    page.page.get_by_test_id("deny").click()
    expect(page.answer).to_contain_text("The tool did not run.")
    expect(page.page.get_by_test_id("tool")).to_have_attribute("data-state", "output-denied")


def test_failure_midway_keeps_the_text_and_can_be_retried(visit: Visit, demo: str) -> None:
    page = visit(demo)
    page.ask("error")
    expect(page.error).to_be_visible()
    expect(page.answer).to_contain_text("The stream now breaks off")
    page.retry.click()
    expect(page.error).to_be_hidden()
    expect(page.error).to_be_visible()
    expect(page.answers).to_have_count(1)


def test_long_answer_can_be_stopped_and_says_so(visit: Visit, demo: str) -> None:
    page = visit(demo)
    page.ask("long")
    expect(page.answer).to_contain_text("The square of 3 is 9")
    page.stop.click()
    expect(page.answer).to_contain_text("Stopped.")
    expect(page.answer).not_to_contain_text("The square of 80")


def test_picture_for_the_readme_can_be_taken(browser: Browser, demo: str, tmp_path: Path) -> None:
    take_picture(browser, demo, tmp_path / "chat.png")
    picture = (tmp_path / "chat.png").read_bytes()
    assert struct.unpack(">II", picture[16:24]) == (WIDTH, HEIGHT)
    assert len(picture) < 300_000


def test_pictures_for_the_documents_can_be_taken(browser: Browser, tmp_path: Path) -> None:
    take_pictures(browser, tmp_path)
    sizes = {file.stem: file.stat().st_size for file in tmp_path.iterdir()}
    assert sorted(sizes) == sorted(NAMES)
    assert max(sizes.values()) < 150_000
