"""What the first view of the page takes from the network, counted on the wire."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, expect

MOST_BYTES = 250_000


def test_first_view_takes_at_most_250_kb(browser: Browser, replayed: str) -> None:
    sizes: list[float] = []

    def note(event: dict[str, Any]) -> None:
        sizes.append(event["encodedDataLength"])

    with browser.new_context() as context:
        page = context.new_page()
        network = context.new_cdp_session(page)
        network.on("Network.loadingFinished", note)
        network.send("Network.enable")  # pyright: ignore[reportUnknownMemberType]
        page.goto(replayed, wait_until="networkidle")
        expect(page.get_by_test_id("prompt")).to_be_visible()

    assert len(sizes) > 3
    assert sum(sizes) <= MOST_BYTES, sizes
