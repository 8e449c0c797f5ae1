"""The chat page in the browser, as the person before it has it: a field, buttons, answers that grow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

__all__ = ["ChatPage"]

_ANSWER_MS = 60_000

_AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
_WATCH_PAINTS = """
(() => {
  const paints = (window.paintedAnswers = []);
  const textOfAnswer = () => {
    const answer = [...document.querySelectorAll('[data-testid="message-assistant"]')].at(-1);
    const speaker = answer?.querySelector(':scope > h2, :scope > strong');
    return answer ? answer.textContent.slice(speaker?.textContent.length ?? 0) : '';
  };
  const look = () => {
    isAwaited = false;
    if (document.querySelector('[role="log"]')?.getAttribute('aria-busy') !== 'true') return;
    const text = textOfAnswer();
    if (text !== '' && text !== paints.at(-1)) paints.push(text);
  };
  let isAwaited = false;
  // A callback for every frame would have an idle page painted sixty times a second.
  new MutationObserver(() => {
    if (!isAwaited) requestAnimationFrame(look);
    isAwaited = true;
  }).observe(document, { attributes: true, characterData: true, childList: true, subtree: true });
})();
"""
"""Notes, before each frame is painted on which something has changed, what of the arriving answer will stand on it."""
_AT_REST = """
() => Promise.allSettled(
  document.getAnimations()
    .filter((it) => it.effect.getComputedTiming().endTime !== Infinity)
    .map((it) => it.finished)
)
"""
"""Waits until all has moved that does not move for ever."""
_HAS_WORDS = """
words => [...document.querySelectorAll('[data-testid="message-assistant"]')].at(-1)?.textContent.includes(words)
"""


class ChatPage:
    """The page, in a browser context of its own or in a given one.

    Args:
        browser: The browser.
        url: Which server's page.
        path: Which of its pages.
        context: The browser context in which it is a tab.
        options: What the browser context is made with, such as a viewport.
    """

    def __init__(
        self, browser: Browser, url: str, path: str = "/", context: BrowserContext | None = None, **options: Any
    ) -> None:
        self._context = context or browser.new_context(**options)
        self.page: Page = self._context.new_page()
        self.complaints: list[str] = []
        """What the browser has written to its console as a warning or an error, and exceptions nobody caught."""
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.add_init_script(_WATCH_PAINTS)
        self.page.goto(f"{url}{path}")
        self.prompt = self.page.get_by_test_id("prompt")
        self.send = self.page.get_by_test_id("send")
        self.stop = self.page.get_by_test_id("stop")
        self.error = self.page.get_by_test_id("error")
        self.retry = self.page.get_by_test_id("retry")
        self.approve = self.page.get_by_test_id("approve")
        self.model_name = self.page.get_by_test_id("model-name")
        self.rows = self.page.get_by_test_id("chat-row")
        """The chats in the list."""
        self.questions = self.page.get_by_test_id("message-user")
        self.answers = self.page.get_by_test_id("message-assistant")
        self.answer = self.answers.last
        """The last one."""

    def ask(self, text: str) -> None:
        """Write it and send it."""
        self.prompt.fill(text)
        self.send.click()

    def wait_until_answered(self, count: int = 1) -> None:
        """Wait until there are so many answers and nothing more is arriving."""
        expect(self.answers).to_have_count(count, timeout=_ANSWER_MS)
        expect(self.stop).to_be_hidden(timeout=_ANSWER_MS)

    def wait_for_words(self, words: str) -> None:
        """Wait until the last answer has these words, however long it is.

        Each time that `expect` looks in vain it describes the whole page, which takes a second for a long answer.
        """
        self.page.wait_for_function(_HAS_WORDS, arg=words, polling=100, timeout=_ANSWER_MS)

    def wait_for_approval(self) -> None:
        """Wait until the visitor is asked whether a tool may run."""
        expect(self.approve.or_(self.error)).to_be_visible(timeout=_ANSWER_MS)
        expect(self.error).to_be_hidden()

    def paints(self) -> list[str]:
        """The different texts of arriving answers that have stood on the screen, in order."""
        return self.page.evaluate("window.paintedAnswers")

    def row(self, title: str) -> Locator:
        """The chat with this title in the list."""
        return self.rows.filter(has_text=title)

    def versions(self, message: Locator) -> Locator:
        """Which version of a message is shown."""
        return message.get_by_test_id("versions")

    def beside(self, browser: Browser) -> ChatPage:
        """The same address in another tab of this browser."""
        address = urlsplit(self.page.url)
        return ChatPage(
            browser, f"{address.scheme}://{address.netloc}", f"{address.path}?{address.query}", self._context
        )

    def broken_rules(self) -> Sequence[str]:
        """Each of axe-core's rules that is broken here, with the elements that break it."""
        # What is still appearing has too little contrast.
        self.page.evaluate(_AT_REST)
        self.page.evaluate(_AXE.read_text())
        # Of what passes, axe-core would describe each element, too.
        report: dict[str, Any] = self.page.evaluate("axe.run({ resultTypes: ['violations'] })")
        return [
            f"{rule['id']}: {rule['help']}: {[node['target'] for node in rule['nodes']]}"
            for rule in report["violations"]
        ]

    def overhang(self) -> int:
        """How many pixels the page is wider than the screen."""
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")

    def close(self) -> None:
        """Close the tab and forget its storage."""
        self._context.close()

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)
