"""What is asked of the page: long answers, and a long chat."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import httpx
from playwright.sync_api import expect

from benchmarks.page.slow_browser import SLOWDOWN, Figures, SlowBrowser, slow_browser
from benchmarks.page.texts import ANSWER_CHARACTERS, answer_text, conversation
from tests.e2e.upstream import text_events
from usechat.testing.replay import Reply

__all__ = ["CASES", "Case"]

Case = Callable[[Path], Figures]
"""Measures the page that is built in a folder."""

_DELTAS: Final = 3_042
_DELTA_SECONDS: Final = 0.005
_MEGABYTE: Final = 1_000_000
_MESSAGES: Final = 1_000
_CHAT: Final = "a-long-chat"
_LAST_WORDS: Final = "That was the last one."

_UNTIL_ANSWERED = """
async () => {
  // Playwright's own waiting would ask the page again and again, which takes time of what is measured.
  const isBusy = () => document.querySelector('[data-testid=stop]') !== null;
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  while (!isBusy()) await pause(50);
  const isDrawn = () => document.querySelector('[role=log]').textContent.includes('That is all of it.');
  while (isBusy() || !isDrawn()) await pause(500);
  await pause(1000);
}
"""

_UNTIL_OPENED = """
async (words) => {
  const begun = performance.now();
  document.querySelector('[data-testid=chat-row] a')?.click();
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const last = () => [...document.querySelectorAll('[data-testid=message-assistant]')].at(-1);
  while (!last()?.textContent.includes(words)) await frame();
  await frame();
  return performance.now() - begun;
}
"""


def _measure_answer(folder: Path) -> Figures:
    """60,738 characters in 3,042 deltas, 5 ms apart, in the slow browser."""
    return _streamed(folder, SLOWDOWN, lambda browser: browser.blocking())


def _measure_work(folder: Path) -> Figures:
    """CPU time of the page's thread for the same answer, in a browser that is not slowed down."""
    return _streamed(folder, 1, lambda browser: browser.work())


def _measure_megabyte(folder: Path) -> Figures:
    """1 MB of Markdown in one answer, in large pieces and without a pause, in the slow browser."""
    with slow_browser(folder, Reply(events=[*text_events(answer_text(_MEGABYTE), 500)])) as browser:
        _ask(browser)
        return browser.blocking()


def _measure_long_chat(folder: Path) -> Figures:
    """A chat of 1,000 messages, opened from the list, and a text written in it, in the slow browser."""
    with slow_browser(folder, Reply(events=[*text_events(_LAST_WORDS)])) as browser:
        _fill(browser.url)
        browser.page.goto(browser.url)
        expect(browser.page.get_by_test_id("chat-row")).to_be_visible()
        browser.begin()
        opening = {"opened": float(browser.page.evaluate(_UNTIL_OPENED, _LAST_WORDS))}
        opening |= {**browser.blocking(), **browser.work()}
        browser.page.get_by_test_id("prompt").focus()
        browser.begin()
        browser.page.keyboard.type("And how high is the water tonight, in Whitby?", delay=120)
        expect(browser.page.get_by_test_id("prompt")).to_have_value("And how high is the water tonight, in Whitby?")
        return {**opening, **browser.keys()}


def _streamed(folder: Path, slowdown: int, figures: Callable[[SlowBrowser], Figures]) -> Figures:
    reply = Reply(events=[*text_events(answer_text(ANSWER_CHARACTERS), _DELTAS)], delay=_DELTA_SECONDS)
    with slow_browser(folder, reply, slowdown=slowdown) as browser:
        _ask(browser)
        return figures(browser)


def _ask(browser: SlowBrowser) -> None:
    """Ask, and wait until all of the answer has come and has been drawn."""
    browser.page.goto(browser.url)
    browser.page.get_by_test_id("prompt").fill("Tell me about the tides.")
    browser.begin()
    browser.page.get_by_test_id("send").click()
    browser.page.evaluate(_UNTIL_ANSWERED)


def _fill(url: str) -> None:
    """Keep a chat of so many messages on the server."""
    messages = conversation(_MESSAGES - 1)
    with httpx.stream("POST", f"{url}/api/chat", json={"id": _CHAT, "messages": messages}, timeout=60) as response:
        response.raise_for_status()
        response.read()


CASES: Final[Mapping[str, Case]] = {
    "answer": _measure_answer,
    "work": _measure_work,
    "megabyte": _measure_megabyte,
    "long chat": _measure_long_chat,
}
