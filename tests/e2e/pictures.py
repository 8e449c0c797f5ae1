"""Takes the pictures of docs/page.md: ``python -m tests.e2e.pictures FOLDER``.

The page in its most telling states, on a desktop and on a telephone, light and dark. The demo answers.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Locator, ViewportSize, expect

from tests.e2e.browser import chromium
from tests.e2e.chat_page import ChatPage
from tests.support.programs import ROOT, Program, usechat_serve

__all__ = ["NAMES", "take_pictures"]

NAMES = (
    "empty",
    "code-dark",
    "chart",
    "source-dark",
    "versions",
    "empty-phone-dark",
    "approval-phone",
    "approval-phone-dark",
    "chats-phone-dark",
    "stopped-phone",
    "error-phone-dark",
    "sign-in-phone",
)
"""Each is a PNG in the folder."""
DESKTOP: ViewportSize = {"width": 1180, "height": 820}
PHONE: ViewportSize = {"width": 390, "height": 780}
_FEW_COLOURS = """
const [from, to, ...names] = process.argv.slice(1);
const sharp = require('sharp');
for (const name of names) sharp(`${from}/${name}.png`).png({ palette: true, effort: 10 }).toFile(`${to}/${name}.png`);
"""
"""A script for node: writes PNGs with a palette, which is a third of the size. `sharp` comes with Next.js."""


class Camera:
    """Takes pictures of one page.

    Args:
        page: The page.
        folder: Where they go.
    """

    def __init__(self, page: ChatPage, folder: Path) -> None:
        self._page = page.page
        self._folder = folder

    def take(self, name: str, scheme: Literal["light", "dark"] = "light", above: Locator | None = None) -> None:
        """Write a picture, in a scheme of colours, once what is to be seen has been scrolled to the top."""
        self._page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        if above is not None:
            above.evaluate("it => it.scrollIntoView({ block: 'start' })")
        self._page.wait_for_function("document.fonts.status === 'loaded'")
        self._page.screenshot(path=self._folder / f"{name}.png")


def begin_desktop(page: ChatPage, camera: Camera) -> None:
    """Ask for the tour, which takes its time."""
    expect(page.page.get_by_label("About the model")).to_be_visible()
    camera.take("empty")
    page.ask("How is the weather in Lisbon?")
    page.wait_until_answered()
    page.page.get_by_test_id("new-chat").click()
    page.ask("Show me everything you can do.")


def show_desktop(page: ChatPage, camera: Camera) -> None:
    page.wait_for_approval()
    answer = page.answer
    expect(answer.locator("[data-math] math").first).to_be_visible()
    expect(answer.locator("pre span[class]").first).to_be_visible()
    camera.take("code-dark", "dark", above=answer.get_by_role("group", name="Table"))
    camera.take("chart", above=answer.get_by_role("progressbar"))
    number = answer.get_by_role("button", name="Source 1:")
    number.scroll_into_view_if_needed()
    number.click()
    expect(page.page.get_by_test_id("citation-preview")).to_be_visible()
    camera.take("source-dark", "dark")
    page.page.keyboard.press("Escape")
    page.page.get_by_test_id("new-chat").click()
    page.ask("How is the weather in Oslo?")
    page.wait_until_answered()
    page.page.get_by_test_id("prompt").press("ArrowUp")
    page.page.get_by_test_id("edit-field").fill("And how is the weather in Bergen?")
    page.page.get_by_test_id("edit-field").press("Enter")
    expect(page.versions(page.questions)).to_contain_text("2 of 2")
    page.wait_until_answered()
    page.questions.last.hover()
    camera.take("versions")


def show_phone(page: ChatPage, camera: Camera) -> None:
    expect(page.page.get_by_label("About the model")).to_be_visible()
    camera.take("empty-phone-dark", "dark")
    page.ask("Write an e-mail, but ask me first.")
    page.wait_for_approval()
    camera.take("approval-phone")
    camera.take("approval-phone-dark", "dark")
    page.page.get_by_title("New chat").tap()
    page.ask("Show me a long answer.")
    expect(page.answer).to_contain_text("The square of 9 is 81")
    page.stop.tap()
    expect(page.answer).to_contain_text("Stopped.")
    camera.take("stopped-phone")
    page.page.get_by_title("New chat").tap()
    page.ask("Show me an error.")
    expect(page.error).to_be_visible()
    camera.take("error-phone-dark", "dark")
    page.page.get_by_test_id("open-sidebar").click()
    expect(page.rows).to_have_count(3)
    camera.take("chats-phone-dark", "dark")


def show_stranger(page: ChatPage, camera: Camera) -> None:
    expect(page.page.get_by_test_id("api-key")).to_be_visible()
    camera.take("sign-in-phone")


def take_pictures(browser: Browser, folder: Path) -> None:
    """Write all of `NAMES` into a folder."""
    phone: dict[str, Any] = {"viewport": PHONE, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
    with ExitStack() as stack:
        taken = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def open_page(serve: Callable[..., Program], **options: Any) -> tuple[ChatPage, Camera]:
            # Each server keeps its chats where it runs.
            work = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            page = ChatPage(browser, stack.enter_context(serve(folder=work)).url, **options)
            stack.callback(page.close)
            return page, Camera(page, taken)

        serve = partial(usechat_serve, "--model", "demo", is_forked=True)
        desktop = open_page(serve, viewport=DESKTOP)
        begin_desktop(*desktop)
        show_phone(*open_page(serve, **phone))
        show_stranger(*open_page(partial(serve, USECHAT_API_KEYS="a-key"), **phone))
        show_desktop(*desktop)
        subprocess.run(["node", "-e", _FEW_COLOURS, taken, folder.resolve(), *NAMES], cwd=ROOT / "web", check=True)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        take_pictures(browser, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
