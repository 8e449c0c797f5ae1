"""What a visitor writes with and chooses: files, models, shortcuts, colours; and what they are told when it fails."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, FilePayload, Locator, expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.conftest import Visit, replayed_server
from tests.e2e.test_accessibility import PHONE
from tests.e2e.upstream import WHOLE_TEXT, Upstream, long_until
from usechat.testing.replay import Reply

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
FILES: list[FilePayload] = [
    {"name": "notes.md", "mimeType": "", "buffer": b"# Tides"},
    {"name": "sea.png", "mimeType": "image/png", "buffer": PICTURE},
]
GIVE_FILE = """
([kind, name, type, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type }));
  const target = document.getElementById('prompt');
  if (kind === 'paste') {
    target.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
  } else {
    for (const step of ['dragenter', 'dragover', kind]) {
      target.dispatchEvent(new DragEvent(step, { dataTransfer: data, bubbles: true, cancelable: true }));
    }
  }
}
"""


@pytest.fixture(scope="module")
def choosing(shared_upstream: Upstream, folder: Path) -> Iterator[str]:
    """As `replayed`, with a choice of models."""
    prices = "claude-opus-4-8=50/250"
    with replayed_server(
        shared_upstream, folder, USECHAT_MODELS="claude-opus-4-8,local", USECHAT_PRICES=prices
    ) as server:
        yield server.url


@pytest.fixture(scope="module")
def limited(shared_upstream: Upstream, folder: Path) -> Iterator[str]:
    """As `replayed`, for those who know a key, and with a limit of their requests."""
    with replayed_server(shared_upstream, folder, USECHAT_API_KEYS="a-key", USECHAT_REQUESTS_PER_MINUTE="12") as server:
        yield server.url


def attachments(page: ChatPage) -> Locator:
    return page.page.get_by_test_id("attachment")


def blocks_of(upstream: Upstream) -> list[str]:
    """The kinds of what the model gets with the first message."""
    return [block["type"] for block in upstream.requests[-1].json["messages"][0]["content"]]


def test_files_are_chosen_shown_removed_and_sent(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    page = visit(replayed)
    expect(page.model_name).to_have_text("claude-sonnet-4-6")  # The page listens to its buttons by then.
    with page.page.expect_file_chooser() as chooser:
        page.page.get_by_test_id("attach").press("Enter")
    chooser.value.set_files([*FILES, FILES[0]])
    expect(attachments(page)).to_have_count(3)
    expect(attachments(page).nth(1).locator("img")).to_be_visible()
    assert page.broken_rules() == []
    page.page.get_by_role("button", name="Remove notes.md").last.click()
    expect(attachments(page)).to_have_count(2)
    page.ask("What are these?")
    page.wait_until_answered()
    expect(attachments(page)).to_have_count(0)
    assert sorted(blocks_of(upstream)) == ["document", "image", "text"]
    page.page.reload()
    expect(page.questions.get_by_role("img")).to_be_visible()


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_file_that_is_pasted_or_dropped_goes_with_the_message(
    visit: Visit, replayed: str, upstream: Upstream, kind: str
) -> None:
    upstream.will(Reply("text"))
    page = visit(replayed)
    expect(page.model_name).to_have_text("claude-sonnet-4-6")
    page.page.evaluate(GIVE_FILE, [kind, "sea.png", "image/png", base64.b64encode(PICTURE).decode()])
    expect(attachments(page)).to_contain_text("sea.png")
    expect(page.send).to_be_enabled()
    page.send.click()
    page.wait_until_answered()
    assert blocks_of(upstream) == ["image"]


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (("film.mp4", 1), "film.mp4 cannot be read by a model"),
        (("empty.txt", 0), "empty.txt is empty."),
        (("big.txt", 10_485_761), "big.txt is too large"),
    ],
)
def test_file_that_cannot_be_sent_is_refused_in_words(
    visit: Visit, replayed: str, tmp_path: Path, file: tuple[str, int], words: str
) -> None:
    # A file of the disk does not go through Playwright's pipes.
    name, size = file
    (tmp_path / name).write_bytes(b"x" * size)
    page = visit(replayed)
    expect(page.model_name).to_have_text("claude-sonnet-4-6")  # The page listens to the field by then.
    page.page.get_by_test_id("file-picker").set_input_files(tmp_path / name)
    complaint = page.page.get_by_test_id("file-complaint")
    expect(complaint).to_contain_text(words)
    expect(attachments(page)).to_have_count(0)
    complaint.get_by_role("button").click()
    expect(complaint).to_be_hidden()


def test_model_is_chosen_by_keyboard_and_kept_with_the_chat(visit: Visit, choosing: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    page = visit(choosing)
    choice = page.page.get_by_test_id("model-select")
    choice.press("Enter")
    expect(page.page.get_by_role("menuitemradio")).to_have_count(3)
    expect(page.page.get_by_role("menuitemradio", name="claude-opus-4-8")).to_contain_text("tools, pictures, PDF")
    assert page.broken_rules() == []
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("Enter")
    expect(choice).to_be_focused()
    page.ask("When is high water?")
    page.wait_until_answered()
    assert upstream.requests[-1].json["model"] == "claude-opus-4-8"
    expect(page.answer).to_contain_text("claude-opus-4-8 · 42 tokens in, 24 out")
    page.page.reload()
    expect(choice).to_have_text("claude-opus-4-8")
    expect(page.answer).to_contain_text("claude-opus-4-8 · 42 tokens in, 24 out")

    choice.click()
    page.page.get_by_role("menuitemradio", name="claude-sonnet-4-6").click()
    page.ask("And low water?")
    page.wait_until_answered(2)
    assert upstream.requests[-1].json["model"] == "claude-sonnet-4-6"


def test_cost_is_shown_of_answers_whose_model_has_a_price(visit: Visit, choosing: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"), Reply("text"))
    page = visit(choosing)
    page.ask("When is high water?")
    page.wait_until_answered()
    expect(page.answer).to_contain_text("42 tokens in, 24 out")
    expect(page.answer).not_to_contain_text("cost")
    page.page.get_by_test_id("model-select").click()
    page.page.get_by_role("menuitemradio", name="$50 in, $250 out for a million tokens").click()
    page.ask("And low water?")
    page.wait_until_answered(2)
    expect(page.answer).to_contain_text("claude-opus-4-8 · 42 tokens in, 24 out · cost $0.0081")


def test_answer_is_copied(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    page = visit(replayed, permissions=["clipboard-read", "clipboard-write"])
    page.ask("When is high water?")
    page.wait_until_answered()
    page.answer.get_by_test_id("copy").click()
    expect(page.answer.get_by_test_id("copy")).to_have_text("Copied")
    assert page.page.evaluate("navigator.clipboard.readText()") == WHOLE_TEXT


def test_too_many_requests_are_told_with_a_countdown(visit: Visit, limited: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    page = visit(limited)
    page.page.get_by_test_id("api-key").fill("a-key")
    page.page.get_by_role("button", name="Sign in").click()
    expect(page.model_name).to_have_text("claude-sonnet-4-6")
    second = f"When is high water, {uuid4().hex[:8]}?"
    page.ask(second)
    page.wait_until_answered()
    page.page.evaluate(
        """async () => {
          const headers = { authorization: 'Bearer a-key' };
          for (let number = 0; number < 12; number++) await fetch('/api/info', { headers });
        }"""
    )
    page.ask("And low water?")
    expect(page.error).to_be_visible()
    expect(page.row(second)).not_to_contain_text("is being answered")
    expect(page.retry).to_be_disabled()
    expect(page.retry).to_have_text(re.compile(r"Try again in \d+ s"))
    assert page.broken_rules() == []


def test_offline_visitor_is_told_and_goes_on_where_they_were(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    page = visit(replayed)
    expect(page.model_name).to_have_text("claude-sonnet-4-6")
    page.page.context.set_offline(True)
    expect(page.page.get_by_text("You are offline.", exact=True)).to_be_visible()
    page.ask("When is high water?")
    expect(page.error).to_contain_text("You are offline.")
    page.page.context.set_offline(False)
    expect(page.page.get_by_text("You are offline.", exact=True)).to_be_hidden()
    page.retry.click()
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    expect(page.questions).to_have_count(1)


def test_message_to_a_chat_that_is_answered_elsewhere_can_be_seen_there(
    visit: Visit, replayed: str, upstream: Upstream, browser: Browser
) -> None:
    upstream.will(Reply("text"), Reply("text", hold_after=4))
    page = visit(replayed)
    page.ask("When is high water?")
    page.wait_until_answered()
    other = page.beside(browser)
    expect(other.answers).to_have_count(1)
    page.ask("Once more, please.")
    expect(page.answers).to_have_count(2)
    other.ask("And low water?")
    expect(other.error).to_contain_text("This chat is being answered already.")
    other.prompt.fill("And tomorrow?")
    other.page.get_by_test_id("reload-chat").click()
    expect(other.questions.last).to_contain_text("Once more, please.")
    expect(other.prompt).to_have_value("And low water?\n\nAnd tomorrow?")
    expect(other.stop).to_be_visible()
    other.stop.click()
    expect(other.stop).to_be_hidden()


def test_shortcuts_are_listed_and_work(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    page = visit(replayed)
    keyboard = page.page.keyboard
    listed = page.page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(page.prompt).to_be_focused()
    keyboard.press("Control+/")
    expect(listed).to_be_visible()
    assert page.broken_rules() == []
    keyboard.press("Escape")
    expect(listed).to_be_hidden()
    expect(page.prompt).to_be_focused()
    keyboard.type("?")
    expect(page.prompt).to_have_value("?")
    page.page.get_by_test_id("new-chat").focus()
    keyboard.press("?")
    listed.get_by_role("button", name="Close").click()
    keyboard.press("/")
    expect(page.prompt).to_be_focused()

    sidebar = page.page.get_by_role("navigation", name="Chats")
    keyboard.press("Control+b")
    expect(sidebar).to_be_hidden()
    page.page.reload()
    expect(page.page.get_by_test_id("open-sidebar")).to_be_visible()
    expect(sidebar).to_be_hidden()
    keyboard.press("Control+k")
    expect(page.page.get_by_label("Search chats")).to_be_focused()

    page.ask("When is high water?")
    page.wait_until_answered()
    keyboard.press("Control+Shift+O")
    expect(page.questions).to_have_count(0)
    expect(page.prompt).to_be_focused()


@pytest.mark.parametrize("can_size", [True, False])
def test_field_grows_with_its_text_up_to_a_limit_and_shrinks_again(
    visit: Visit, replayed: str, upstream: Upstream, can_size: bool
) -> None:
    upstream.will(Reply("text"))
    page = visit(replayed)
    expect(page.prompt).to_be_focused()  # From now on React knows what is written.
    if not can_size:
        page.page.evaluate("CSS.supports = () => false")
        page.page.add_style_tag(content="textarea { field-sizing: fixed !important }")
    height = "field => field.clientHeight"
    one_line = page.prompt.evaluate(height)
    page.prompt.fill("High\nand\nlow")
    assert page.prompt.evaluate(height) > one_line * 1.5
    page.prompt.fill("tide\n" * 100)
    assert page.prompt.evaluate(height) <= 256
    page.prompt.fill("")
    assert page.prompt.evaluate(height) == one_line

    page.ask("High\nand\nlow?")
    page.wait_until_answered()
    page.prompt.press("ArrowUp")
    field = page.page.get_by_test_id("edit-field")
    three_lines = field.evaluate(height)
    field.fill("High?")
    assert field.evaluate(height) < three_lines


def test_edit_is_not_sent_while_another_answer_is_on_its_way(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"), Reply("text", hold_after=4), Reply("text"))
    page = visit(replayed)
    page.ask("When is high water?")
    page.wait_until_answered()
    page.prompt.press("ArrowUp")
    field = page.page.get_by_test_id("edit-field")
    save = page.questions.first.get_by_role("button", name="Send")
    page.ask("And low water?")
    expect(page.answer).to_contain_text("is at")
    field.fill("When is high water in Bergen?")
    expect(save).to_be_disabled()
    field.press("Enter")
    expect(field).to_have_value("When is high water in Bergen?")

    page.stop.click()
    expect(save).to_be_enabled()
    field.press("Enter")
    expect(field).to_be_hidden()
    expect(page.questions).to_have_count(1)
    page.wait_until_answered()
    expect(page.error).to_be_hidden()
    assert len(upstream.requests) == 3


def test_escape_stops_the_answer(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(Reply("text", hold_after=4))
    page = visit(replayed)
    page.ask("When is high water?")
    expect(page.answer).to_contain_text("is at")
    page.page.keyboard.press("Escape")
    expect(page.answer).to_contain_text("Stopped.")


def test_colours_are_chosen_and_kept(visit: Visit, replayed: str) -> None:
    page = visit(replayed, color_scheme="light")
    expect(page.prompt).to_be_focused()  # The page listens to its buttons by then.
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.page.evaluate(ground)
    page.page.get_by_role("radio", name="Dark").check(force=True)
    dark = page.page.evaluate(ground)
    assert dark != light
    assert page.broken_rules() == []
    page.page.reload()
    assert page.page.evaluate(ground) == dark
    expect(page.prompt).to_be_focused()
    page.page.get_by_role("radio", name="Dark").press("ArrowLeft")
    page.page.emulate_media(color_scheme="dark")
    assert page.page.evaluate(ground) == light
    page.page.get_by_role("radio", name="As the system").check(force=True)
    assert page.page.evaluate(ground) == dark


def test_all_of_the_page_changes_its_colours_at_once_with_less_motion(visit: Visit, replayed: str) -> None:
    page = visit(replayed, color_scheme="dark", reduced_motion="reduce")
    hint = page.page.locator("#prompt-hint kbd").first
    color = "element => getComputedStyle(element).color"
    dark = hint.evaluate(color)
    page.page.emulate_media(color_scheme="light", reduced_motion="reduce")
    light = hint.evaluate(color)
    assert light != dark
    assert page.page.evaluate("document.getAnimations().length") == 0


def test_list_is_a_drawer_on_a_telephone(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    page = visit(replayed, **PHONE)
    title = f"When is high water, {uuid4().hex[:8]}?"
    page.ask(title)
    page.wait_until_answered()
    page.page.get_by_title("New chat").tap()
    page.page.get_by_test_id("open-sidebar").tap()
    drawer = page.page.get_by_role("dialog", name="Chats")
    expect(page.row(title)).to_be_visible()
    assert page.broken_rules() == []
    page.row(title).get_by_role("link").tap()
    expect(drawer).to_be_hidden()
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    page.page.get_by_test_id("open-sidebar").tap()
    page.page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    page.page.get_by_test_id("open-sidebar").tap()
    page.page.touchscreen.tap(350, 400)
    expect(drawer).to_be_hidden()


SMALL = """
() => [...document.querySelectorAll('button, a[href], [role=radio], label:has(input[type=radio])')]
  .filter((element) => element.checkVisibility({ opacityProperty: true }) && !element.disabled)
  .map((element) => [element.textContent || element.title, element.getBoundingClientRect()])
  .filter(([, box]) => box.width > 0 && (box.width < 44 || box.height < 44))
  .map(([words, box]) => `${words}: ${box.width} x ${box.height}`)
"""


def test_what_is_touched_is_large_enough(visit: Visit, choosing: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    # What is still on its way is measured with errors of rounding.
    page = visit(choosing, **PHONE, reduced_motion="reduce")
    page.ask("When is high water?")
    page.wait_until_answered()
    page.page.get_by_test_id("regenerate").tap()
    expect(page.versions(page.answer)).to_contain_text("2 of 2")
    page.page.get_by_test_id("file-picker").set_input_files(FILES)
    expect(attachments(page)).to_have_count(2)
    assert page.page.evaluate(SMALL) == []
    page.page.get_by_test_id("open-sidebar").tap()
    expect(page.rows.first).to_be_visible()
    assert page.page.evaluate(SMALL) == []


@pytest.mark.parametrize("width", [320, 1920])
def test_page_fits_narrow_and_wide_screens(visit: Visit, choosing: str, upstream: Upstream, width: int) -> None:
    upstream.will(Reply("text"))
    page = visit(choosing, viewport={"width": width, "height": 640})
    expect(page.page.get_by_test_id("model-select")).to_be_visible()
    page.page.get_by_test_id("file-picker").set_input_files(FILES)
    page.ask("When is high water?")
    page.wait_until_answered()
    assert page.overhang() <= 0
    page.page.keyboard.press("Control+/")
    page.page.keyboard.press("Escape")
    assert page.overhang() <= 0


AT_REST = """
async (log) => {
  let before;
  do {
    before = [log.scrollTop, log.scrollHeight].join();
    // Three frames: a page follows what has grown in the next one.
    for (let frame = 0; frame < 3; frame++) await new Promise((done) => requestAnimationFrame(done));
  } while (before !== [log.scrollTop, log.scrollHeight].join());
  return log.scrollTop;
}
"""
"""Waits until nothing grows or scrolls any more; gives the place."""


def test_reader_who_scrolls_up_is_left_in_peace_and_finds_back(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(long_until("The square of 20"))
    page = visit(replayed, viewport={"width": 1000, "height": 480})
    page.ask("Count.")
    expect(page.answer).to_contain_text("The square of 20")
    log = page.page.get_by_role("log")
    place = "log => log.scrollHeight - log.scrollTop - log.clientHeight"
    log.evaluate(AT_REST)
    assert log.evaluate(place) < 60
    log.hover()
    page.page.mouse.wheel(0, -400)
    back = page.page.get_by_role("button", name="To the latest message")
    expect(back).to_be_visible()
    top = log.evaluate(AT_REST)
    upstream.requests[0].go_on()
    page.wait_until_answered()
    assert log.evaluate("log => log.scrollTop") == top
    back.click()
    expect(back).to_be_hidden()
    log.evaluate(AT_REST)
    assert log.evaluate(place) < 60
