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
from tests.e2e.programs import usechat_serve

__all__ = ["take_picture"]

SIZE = {"width": 1180, "height": 820}


def take_picture(browser: Browser, url: str, file: Path) -> None:
    """Write the picture of a page that the demo answers."""
    page = ChatPage(browser, url, viewport=SIZE)
    page.page.get_by_role("button", name="Show me everything you can do.").click()
    expect(page.answer).to_contain_text("There it is", timeout=60_000)
    expect(page.stop).to_be_visible()
    page.page.screenshot(path=file)
    page.close()


def main(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        with usechat_serve("--model", "demo", folder=Path(folder)) as server:
            take_picture(browser, server.url, file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
