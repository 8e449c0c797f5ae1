"""Answers of the server that come late: they are held until a test lets them go, however busy the machine is."""

from __future__ import annotations

import time
from functools import partial
from re import Pattern
from typing import Any

from playwright.sync_api import APIResponse, Page, Request, Response, Route

from tests.support.waiting import PATIENCE

__all__ = ["Held", "let_page_draw"]

TWO_FRAMES = """
() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))
"""


class Held:
    """What a page asks for and does not get before `release`.

    Args:
        page: The page.
        pattern: The addresses, as for `Page.route`.
        method: The method.
        most: How many of these requests are held; those after them are answered at once.
        is_answered: Whether the server gets the request, and its answer is held; else the request is.
    """

    def __init__(
        self, page: Page, pattern: str | Pattern[str], method: str = "GET", *, most: int = 100, is_answered: bool = True
    ) -> None:
        self._page = page
        self._pattern = pattern
        self._method = method
        self._most = most
        self._is_answered = is_answered
        self._held: list[tuple[Route, APIResponse | None]] = []
        self._count = 0
        page.route(pattern, self._hold)

    def wait(self, count: int = 1) -> None:
        """Wait until so many are held.

        Raises:
            TimeoutError: They are not.
        """
        until = time.monotonic() + PATIENCE
        while len(self._held) < count:
            if time.monotonic() > until:
                raise TimeoutError(f"{self._pattern} was not asked for")
            # Playwright calls `_hold` while it waits for an answer of the browser.
            self._page.evaluate("0")

    @property
    def json(self) -> Any:
        """What the first answer that is held says."""
        answer = self._held[0][1]
        assert answer is not None
        return answer.json()

    def answer_with(self, **changes: Any) -> None:
        """Let the page have the first answer that is held, with other fields."""
        route, answer = self._held.pop(0)
        assert answer is not None
        route.fulfill(response=answer, json={**answer.json(), **changes})

    def release(self) -> None:
        """Let the page have what is held, and hold nothing more. Return when the page has drawn it."""
        going, self._held, self._most = self._held, [], 0
        for route, answer in going:
            with self._page.expect_response(partial(is_of, route.request)):
                let_go(route, answer)
        let_page_draw(self._page)

    def _hold(self, route: Route) -> None:
        if route.request.method != self._method:
            route.fallback()
        elif self._count >= self._most:
            route.continue_()
        else:
            self._count += 1
            answer = route.fetch() if self._is_answered else None
            # `release` may have been called while the server answered.
            if self._most > 0:
                self._held.append((route, answer))
            else:
                let_go(route, answer)


def let_go(route: Route, answer: APIResponse | None) -> None:
    if answer is None:
        route.continue_()
    else:
        route.fulfill(response=answer)


def let_page_draw(page: Page) -> None:
    """Return when the page has drawn what has come."""
    page.evaluate(TWO_FRAMES)


def is_of(request: Request, response: Response) -> bool:
    return response.request == request
