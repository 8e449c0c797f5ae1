"""What a visitor's browser loads to show the page, and what comes only with the first code or formula."""

from __future__ import annotations

import gzip

from playwright.sync_api import Browser, Response, expect

from tests.e2e.upstream import Upstream, text_events
from usechat.testing.replay import Reply

MOST_BYTES = 250_000


def test_first_view_is_small_and_grammars_come_with_the_first_code(
    browser: Browser, replayed: str, upstream: Upstream
) -> None:
    upstream.will(Reply(events=[*text_events("```python\nreturn 1\n```\n\nand $x^2$")]))
    page = browser.new_page()
    loaded: list[Response] = []
    workers: list[str] = []
    page.on("response", lambda response: loaded.append(response))  # noqa: PLW0108 - Playwright marks a function
    page.on("worker", lambda worker: workers.append(worker.url))
    page.goto(replayed, wait_until="networkidle")
    files = [response for response in loaded if "/api/" not in response.url]
    sizes = {response.url: compressed_size(response) for response in files}
    assert sum(sizes.values()) <= MOST_BYTES, sizes
    assert workers == []

    page.get_by_test_id("prompt").fill("Show me code.")
    page.get_by_test_id("send").click()
    answer = page.get_by_test_id("message-assistant")
    expect(answer.locator("pre span[class]").first).to_have_text("return")
    expect(answer.locator("math")).to_have_count(1)
    assert len(workers) == 1
    page.wait_for_function("document.fonts.status === 'loaded'")
    fonts = [response for response in loaded if response.request.resource_type == "font"]
    assert fonts
    assert all(response.url.startswith(replayed) for response in [*files, *fonts])
    page.close()


def compressed_size(response: Response) -> int:
    """How large a file was on the wire, or would be there from a server that compresses."""
    return min(response.request.sizes()["responseBodySize"], len(gzip.compress(response.body(), 6)))
