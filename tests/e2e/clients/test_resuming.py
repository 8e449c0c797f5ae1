"""Pages that resume, in a browser: reloaded in mid-answer and in the middle of a tool call, open in two tabs, stopped.

Their `useChat` is that of each major, below React's StrictMode; what they show is compared as text.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browser import Visitors
from tests.support.programs import ROOT, usechat_serve

MAJORS = (4, 5, 6, 7)
TOPICS = ("progress", "sources")
RELOADS = 6
"""Of each page, at random places."""
SEED = int(os.environ.get("RESUME_SEED", "1"))

_PAGES = Path(__file__).parent / "resuming"
_ESBUILD = ROOT / "tests" / "e2e" / "node_modules" / ".bin" / "esbuild"
_PACKAGES = ROOT / "tests" / "conformance" / "js"
_HTML = (
    '<!doctype html><title>Resuming</title><div id="page"></div><script type="module" src="/{major}/app.js"></script>'
)
_WAIT_MS = 60_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a page for each major."""
    folder = tmp_path_factory.mktemp("resuming")
    for major in MAJORS:
        place = folder / str(major)
        place.mkdir()
        (place / "index.html").write_text(_HTML.format(major=major))
        build(major, place / "app.js")
    (folder / "index.html").write_text(_HTML.format(major=7))
    with usechat_serve("--model", "demo", folder=folder, is_forked=True, USECHAT_WEB_DIR=str(folder)) as program:
        yield program.url


def build(major: int, target: Path) -> None:
    entry = _PAGES / ("page_v4.jsx" if major == 4 else "page.jsx")
    options = ["--bundle", "--format=esm", "--jsx=automatic", "--log-level=error", f"--alias:sdk=react-{major}"]
    subprocess.run(
        [_ESBUILD, entry, *options, '--define:process.env.NODE_ENV="development"', f"--outfile={target}"],
        cwd=_PACKAGES,
        env={**os.environ, "NODE_PATH": str(_PACKAGES / "node_modules")},
        check=True,
    )


@pytest.fixture
def context(visitors: Visitors) -> Iterator[BrowserContext]:
    """A browser that nobody has used."""
    # The server's policy lets no page evaluate what Playwright waits for.
    context = visitors.come(bypass_csp=True)
    yield context
    visitors.go(context)


def open_chat(context: BrowserContext, server: str, major: int, name: str, *, query: str = "") -> Page:
    page = context.new_page()
    page.goto(f"{server}/{major}/?chat={name}-{major}{query}")
    page.wait_for_function("'say' in window")
    return page


def say(page: Page, text: str) -> None:
    page.evaluate("text => window.say(text)", text)


_IS_AS_LONG = """
async (length) => {
  const shown = (document.querySelector('[data-role=assistant]')?.textContent ?? '').length;
  if (shown >= length || (shown > 0 && document.querySelector('ol').ariaBusy === 'false')) return true;
  const response = await fetch(`/api/chats/${new URLSearchParams(location.search).get('chat')}`);
  if (!response.ok) return false;
  const { messages, isAnswering } = await response.json();
  return messages.length > 0 && !isAnswering;
}
"""


def wait_for_answer(page: Page, length: int = 1) -> None:
    """Wait until so much of it stands there, or all of it; or until it has ended, which the page may not have seen."""
    page.wait_for_function(_IS_AS_LONG, arg=length, polling=50, timeout=_WAIT_MS)


def answer(page: Page) -> str:
    """What the page shows of the answer when it has ended.

    A page that was loaded before the end and asked for the stream after it has to be loaded once more.
    """
    expect(page.locator("ol")).to_have_attribute("aria-busy", "false", timeout=_WAIT_MS)
    if page.locator("[data-role=assistant]").count() == 0:
        page.reload()
    messages = page.locator("li")
    expect(messages).to_have_count(2, timeout=_WAIT_MS)
    expect(page.locator("ol")).to_have_attribute("aria-busy", "false", timeout=_WAIT_MS)
    return messages.last.text_content() or ""


@pytest.fixture(scope="module")
def undisturbed(browser: Browser, server: str) -> Mapping[tuple[int, str], str]:
    """What pages show that nobody reloads, by major and topic; all wait for their answers at the same time."""
    with browser.new_context(bypass_csp=True) as context:
        pages = {
            (major, topic): open_chat(context, server, major, f"undisturbed-{topic}")
            for topic in TOPICS
            for major in MAJORS
        }
        for (_, topic), page in pages.items():
            say(page, topic)
        return {which: answer(page) for which, page in pages.items()}


# All that answers can hold, for each major's hooks without a browser, is in tests/clients/test_resuming.py.
@pytest.mark.parametrize(
    ("major", "topic"),
    [
        pytest.param(major, topic, marks=() if topic == TOPICS[major % 2] else pytest.mark.thorough)
        for major in MAJORS
        for topic in TOPICS
    ],
)
def test_a_page_that_is_reloaded_shows_the_answer_once_and_whole(
    major: int, topic: str, server: str, context: BrowserContext, undisturbed: Mapping[tuple[int, str], str]
):
    source = random.Random(SEED + major)
    wanted = undisturbed[major, topic]
    page = open_chat(context, server, major, f"reloaded-{topic}")
    say(page, topic)

    for place in sorted(source.random() for _ in range(RELOADS)):
        wait_for_answer(page, int(len(wanted) * place))
        page.reload()
    other = open_chat(context, server, major, f"reloaded-{topic}")

    assert answer(page) == wanted, f"RESUME_SEED={SEED}"
    assert answer(other) == wanted, f"RESUME_SEED={SEED}"


@pytest.mark.parametrize("major", MAJORS)
def test_a_page_that_asks_only_where_its_chat_is_answering_keeps_the_answer_in_its_first_reload(
    major: int, server: str, context: BrowserContext, undisturbed: Mapping[tuple[int, str], str]
):
    page = open_chat(context, server, major, "first", query="&unless-idle")
    say(page, "progress")
    expect(page.locator("[data-role=assistant]")).not_to_be_empty(timeout=_WAIT_MS)

    page.reload()

    assert answer(page) == undisturbed[major, "progress"]


@pytest.mark.parametrize("major", [major for major in MAJORS if major >= 5])
def test_a_page_that_is_reloaded_in_the_middle_of_a_tool_call_shows_its_end(
    major: int, server: str, context: BrowserContext
):
    page = open_chat(context, server, major, "tool")
    say(page, "progress")
    calls = page.get_by_text('"state":"input-available"')
    expect(calls).to_have_count(1, timeout=_WAIT_MS)

    page.reload()

    expect(calls).to_have_count(1, timeout=_WAIT_MS)
    shown = answer(page)
    assert shown.count('"type":"tool-show_progress","state":"output-available","output":{"steps":5}') == 1
    assert "input-available" not in shown


@pytest.mark.parametrize("major", MAJORS)
def test_stop_in_one_tab_ends_the_answer_in_the_other(major: int, server: str, context: BrowserContext):
    page = open_chat(context, server, major, "stopped")
    say(page, "long")
    wait_for_answer(page, 20)
    page.reload()
    other = open_chat(context, server, major, "stopped")
    wait_for_answer(other, 40)

    stopped = other.evaluate(
        "id => fetch(`/api/chat/${id}/stop`, {method: 'POST'}).then((it) => it.json())", f"stopped-{major}"
    )

    assert stopped == {"stopped": True}
    kept = answer(page)
    assert answer(other) == kept
    page.reload()
    assert answer(page) == kept
