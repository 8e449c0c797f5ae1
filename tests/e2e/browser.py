"""Debian's Chromium under Playwright: no browser is downloaded.

It is the one that is built without windows: the other one, told to open none, does three times the work for a page.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.support.programs import find_program

__all__ = ["Visitors", "chromium"]

_ARGUMENTS = (
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    # Pages that come one after the other then share a process, and with it scripts that are compiled already: each
    # takes a third less.
    "--renderer-process-limit=1",
)


@contextmanager
def chromium() -> Generator[Browser]:
    """A running browser without a window; Playwright leaves its sandbox off, which containers and root do not have."""
    with sync_playwright() as playwright:
        program = find_program("chromium-headless-shell")
        browser = playwright.chromium.launch(executable_path=program, args=_ARGUMENTS)
        yield browser
        browser.close()


class Visitors:
    """Browser contexts that are used again: the next visitor finds the page's files in the cache, and nothing else.

    Args:
        browser: The browser.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._gone: defaultdict[str, list[_Visitor]] = defaultdict(list)
        self._here: dict[BrowserContext, tuple[str, _Visitor]] = {}

    def come(self, **options: Any) -> BrowserContext:
        """Return a context that nobody else uses, made with these options."""
        kind = repr(sorted(options.items()))
        visitor = self._gone[kind].pop() if self._gone[kind] else _Visitor(self._browser, options)
        self._here[visitor.context] = kind, visitor
        return visitor.context

    def go(self, context: BrowserContext) -> None:
        """Close all of its tabs, and forget what they have stored."""
        kind, visitor = self._here.pop(context)
        visitor.forget()
        self._gone[kind].append(visitor)


class _Visitor:
    def __init__(self, browser: Browser, options: Mapping[str, Any]) -> None:
        self.context = browser.new_context(**options)
        # A tab through which the context can be told to forget when all others are closed.
        self._empty = self.context.new_page()
        self._devtools = self.context.new_cdp_session(self._empty)

    def forget(self) -> None:
        opened = [page for page in self.context.pages if page is not self._empty]
        origins = {urlsplit(page.url)._replace(path="", query="", fragment="").geturl() for page in opened}
        for page in opened:
            page.close()
        self.context.set_offline(False)
        self.context.clear_cookies()
        for origin in origins:
            what = {"origin": origin, "storageTypes": "all"}
            self._devtools.send("Storage.clearDataForOrigin", what)  # pyright: ignore[reportUnknownMemberType]
