"""Measure how long the built chat page blocks the browser: ``python -m benchmarks.page``, or a case by its name.

    answer      60,738 characters in 3,042 deltas, 5 ms apart
    megabyte    1 MB of Markdown in one answer, as fast as it comes

Chromium runs four times slower than this machine. A task of more than 50 ms blocks the page by what it takes longer.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page, expect

from tests.e2e.browser import chromium
from tests.e2e.upstream import text_events
from tests.support.programs import usechat_serve
from usechat.testing.replay import ReplayServer, Reply

__all__ = ["ANSWER_CHARACTERS", "answer_text", "measure_page"]

ANSWER_CHARACTERS: Final = 60_738
ANSWER_DELTAS: Final = 3_042
SLOWDOWN: Final = 4
MESSAGES: Final = 1_000

Figures = Mapping[str, float]

_SECTION = """\
## {number}. What the tide does

Twice a day the water **rises** and *falls*, because the moon pulls at it; see [the tables](https://tides.example/{number})
for `Whitby`, where high water is at {number}:20 and the range is about four metres at springs.

- The moon is near: the range is large.
- The sun helps at new and full moon.
- Shallow bays hold the water back, so it comes later than at sea, by an hour or more.

| Place | High water | Range |
|---|---:|---:|
| Whitby | {number}:20 | 4.{number} m |
| Hull | {number}:55 | 5.1 m |

```python
def height(hours: float, mean: float = 3.1, amplitude: float = 1.9) -> float:
    # The moon's own tide, M2, has a period of 12.42 hours.
    return mean + amplitude * math.cos(2 * math.pi * hours / 12.42)
```

> A height is $h(t) = a + b \\cos(\\omega t)$, and that is all.

1. Look at the moon.
2. Then at the table.

"""

_END = "\n\nThat is all of it.\n"

_WATCH = """
window.longTasks = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.longTasks.push(entry.duration);
}).observe({ type: 'longtask', buffered: true });
"""

_UNTIL_ANSWERED = """
async () => {
  // Playwright's own waiting would ask the page again and again, which takes time of what is measured.
  const isBusy = () => document.querySelector('[data-testid=stop]') !== null;
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  while (!isBusy()) await pause(50);
  const isDrawn = () => document.querySelector('[role=log]').textContent.includes('That is all of it.');
  while (isBusy() || !isDrawn()) await pause(500);
  await pause(1000);
}
"""


def answer_text(characters: int = ANSWER_CHARACTERS) -> str:
    """Return Markdown of so many characters, as a model writes it: paragraphs, lists, tables, code, formulas."""
    sections = "".join(_SECTION.format(number=number) for number in range(1, characters // len(_SECTION) + 2))
    return sections[: characters - len(_END)] + _END


@contextmanager
def page_answered_by(reply: Reply) -> Generator[Page]:
    """A page in a slow browser, before a server whose model answers this."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ReplayServer(reply) as upstream,
        usechat_serve(
            "--model",
            "claude-sonnet-4-6",
            folder=Path(folder),
            ANTHROPIC_BASE_URL=upstream.url,
            ANTHROPIC_API_KEY="none",
        ) as server,
        chromium() as browser,
    ):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(_WATCH)
        page.goto(server.url)
        expect(page.get_by_test_id("prompt")).to_be_visible()
        devtools: Any = page.context.new_cdp_session(page)
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN})
        yield page


def _measure_answer() -> Figures:
    """Stream the long answer."""
    reply = Reply(events=[*text_events(answer_text(), ANSWER_DELTAS)], delay=0.005)
    with page_answered_by(reply) as page:
        ask(page)
        return blocking(page)


def _measure_megabyte() -> Figures:
    """Stream a text of a megabyte, in large pieces and without a pause."""
    reply = Reply(events=[*text_events(answer_text(1_000_000), 500)])
    with page_answered_by(reply) as page:
        ask(page)
        return blocking(page)


def ask(page: Page) -> None:
    """Ask, and wait until all of the answer has come and has been drawn."""
    page.get_by_test_id("prompt").fill("Tell me about the tides.")
    page.evaluate("window.longTasks.length = 0")
    page.get_by_test_id("send").click()
    page.evaluate(_UNTIL_ANSWERED)


def blocking(page: Page) -> Figures:
    """Return the figures of the long tasks up to now, in milliseconds."""
    tasks: list[float] = page.evaluate("window.longTasks")
    return {
        "blocked": sum(task - 50 for task in tasks),
        "longest task": max(tasks, default=0),
        "long tasks": len(tasks),
    }


CASES: Mapping[str, Callable[[], Figures]] = {
    "answer": _measure_answer,
    "megabyte": _measure_megabyte,
}


def measure_page(*names: str) -> None:
    """Measure the named cases, or all, and print their figures in milliseconds."""
    for name in names or CASES:
        print(name, {figure: round(value) for figure, value in CASES[name]().items()}, flush=True)


if __name__ == "__main__":
    measure_page(*sys.argv[1:])
