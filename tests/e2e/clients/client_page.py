"""The page of one client in the browser. It asks our server, or its major's own SDK in our server's place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Locator, Page, Request, Route, expect

from tests.conformance.frames import Names
from tests.e2e.clients.agent import MODEL

__all__ = ["ClientPage", "Shown"]

_ORACLE_PATHS = {"/api/chat?protocol=text": "/api/text"}
_UNSTABLE = {"revisionId", "createdAt", "annotations", "usage", "signature"}
"""What AI SDK 4 counts of its renders and when it made a message; what only our server sends: metadata to AI SDK 4 (as
annotations), token counts as they are in Python, and signatures of approvals."""


@dataclass(frozen=True)
class Shown:
    """What a page shows in the end, with names in place of random ids."""

    text: str
    messages: Any


class ClientPage:
    """A page, for a visitor who has seen no page before.

    Args:
        context: The visitor's browser context.
        server: The server that has the pages.
        path: Which page.
        oracle: The address of the AI SDK's own server, which answers instead; None for ours.
    """

    def __init__(self, context: BrowserContext, server: str, path: str, oracle: str | None = None) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(20_000)
        self.failures: list[str] = []
        """Exceptions that nobody caught."""
        self.posted: list[Any] = []
        """The bodies of the page's requests."""
        self.page.on("pageerror", lambda error: self.failures.append(str(error)))
        self.page.on("request", self._note)
        self.page.goto(f"{server}{path}")
        # A page with routes has no cache, so its scripts come first.
        if oracle is not None:
            self.page.route("**/api/**", lambda route: _go_to(oracle, route))
        self.body = self.page.locator("body")
        self.stop = self.button("Stop")
        self.error = self.page.get_by_role("alert")

    def button(self, name: str) -> Locator:
        """The button with this name."""
        return self.page.get_by_role("button", name=name, exact=True)

    def ask(self, text: str) -> None:
        """Write it and send it."""
        self.page.get_by_placeholder("Say something...").fill(text)
        self.button("Submit").click()

    def wait_for(self, text: str) -> None:
        """Wait until this stands there."""
        expect(self.body).to_contain_text(text)

    def wait_for_end(self, text: str) -> Shown:
        """Wait until this stands there and nothing more arrives; return what is shown."""
        self.wait_for(text)
        expect(self.stop).to_be_hidden()
        assert self.failures == []
        return self.shown()

    def shown(self) -> Shown:
        """What is shown now."""
        messages = self.page.evaluate("JSON.parse(JSON.stringify(window.messages ?? null))")
        return Shown(self.body.inner_text(), Names().value(_stable(messages)))

    def _note(self, request: Request) -> None:
        if request.method == "POST":
            self.posted.append(request.post_data_json)


def _go_to(oracle: str, route: Route) -> None:
    """Have the AI SDK's server answer a request, told what our server knows by itself."""
    if route.request.method != "POST":
        route.fulfill(status=204)
        return
    url = urlsplit(route.request.url)
    path = f"{url.path}?{url.query}" if url.query else url.path
    posted = json.loads(route.request.post_data or "null")
    body = {"prompt": posted} if isinstance(posted, str) else posted
    told = {**body, "model": MODEL, "usageMetadata": True}
    route.continue_(url=oracle + _ORACLE_PATHS.get(path, path), post_data=json.dumps(told))


def _stable(value: Any) -> Any:
    match value:
        case dict():
            fields = cast("dict[str, Any]", value)
            return {name: _stable(item) for name, item in fields.items() if name not in _UNSTABLE}
        case list():
            return [_stable(item) for item in cast("list[Any]", value)]
        case _:
            return value
