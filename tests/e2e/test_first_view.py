"""What a browser loads to show the page, counted on the wire, and what comes with the first code or formula."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Response, expect

from tests.e2e.upstream import Upstream, text_events
from usechat.testing.replay import Reply

MOST_BYTES = 250_000


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_first_view_takes_at_most_250_kb(browser: Browser, replayed: str, encoding: str) -> None:
    sizes: list[float] = []

    def note(event: dict[str, Any]) -> None:
        sizes.append(event["encodedDataLength"])

    with browser.new_context(extra_http_headers={"accept-encoding": encoding}) as context:
        page = context.new_page()
        network = context.new_cdp_session(page)
        network.on("Network.loadingFinished", note)
        network.send("Network.enable")  # pyright: ignore[reportUnknownMemberType]
        response = page.goto(replayed, wait_until="networkidle")
        assert response is not None
        assert response.headers["content-encoding"] == encoding
        expect(page.get_by_test_id("prompt")).to_be_visible()

    assert len(sizes) > 3
    assert sum(sizes) <= MOST_BYTES, sizes


def test_grammars_and_formulas_come_with_the_first_code_from_this_server(
    browser: Browser, replayed: str, upstream: Upstream
) -> None:
    upstream.will(Reply(events=[*text_events("```python\nreturn 1\n```\n\nand $x^2$")]))
    page = browser.new_page()
    loaded: list[Response] = []
    workers: list[str] = []
    page.on("response", lambda response: loaded.append(response))  # noqa: PLW0108 - Playwright marks a function
    page.on("worker", lambda worker: workers.append(worker.url))
    page.goto(replayed, wait_until="networkidle")
    assert workers == []

    page.get_by_test_id("prompt").fill("Show me code.")
    page.get_by_test_id("send").click()
    answer = page.get_by_test_id("message-assistant")
    expect(answer.locator("pre span[class]").first).to_have_text("return")
    expect(answer.locator("math")).to_have_count(1)
    assert len(workers) == 1
    page.wait_for_function("document.fonts.status === 'loaded'")
    assert [response for response in loaded if response.request.resource_type == "font"]
    assert all(response.url.startswith((replayed, "blob:")) for response in loaded)
    page.close()
