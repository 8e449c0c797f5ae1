"""Takes the picture of the page in the README, while an answer is streaming: ``python -m tests.e2e.screenshot FILE``.

The demo answers, so that the picture shows what an answer can be made of, and looks the same each time.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.e2e.browser import chromium
from tests.e2e.chat_page import ChatPage
from tests.support.programs import usechat_serve

__all__ = ["HEIGHT", "WIDTH", "take_picture"]

WIDTH, HEIGHT = 1180, 820
_WINDOW = {"width": 1280, "height": 889}
"""Somewhat larger than the picture, which shrinks it, so that both questions are in sight."""


def take_picture(browser: Browser, url: str, file: Path) -> None:
    """Write the picture of a page that the demo answers."""
    page = ChatPage(browser, url, viewport=_WINDOW, device_scale_factor=WIDTH / _WINDOW["width"])
    page.ask("How is the weather in Lisbon?")
    page.wait_until_answered()
    page.ask("Search the web: what are server-sent events?")
    expect(page.answer).to_contain_text("let a server push")
    page.page.screenshot(path=file)
    page.close()


def main(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        chromium() as browser,
        usechat_serve("--model", "demo", folder=Path(folder)) as server,
    ):
        take_picture(browser, server.url, file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
