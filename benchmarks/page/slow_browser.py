"""The page in a browser that can be slowed down, before a server whose model answers as scripted; and what it took."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

from tests.e2e.browser import chromium
from tests.support.programs import usechat_serve
from usechat.testing.replay import ReplayServer, Reply

__all__ = ["SLOWDOWN", "Figures", "SlowBrowser", "slow_browser"]

SLOWDOWN: Final = 4
"""How many times slower than this machine."""

Figures = Mapping[str, float]
"""Milliseconds, or counts, by what they are of."""

_WATCH = """
window.longTasks = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.longTasks.push(entry.duration);
}).observe({ type: 'longtask', buffered: true });
window.keys = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (entry.name === 'keydown') window.keys.push(entry.duration);
}).observe({ type: 'event', durationThreshold: 16 });
"""

_WORK: Final = {
    "CPU": "TaskDuration",
    "of scripts": "ScriptDuration",
    "of styles": "RecalcStyleDuration",
    "of layouts": "LayoutDuration",
}
"""What Chromium counts, in seconds of the page's thread."""


class SlowBrowser:
    """A page before a server.

    Args:
        page: The page.
        url: The server.
        slowdown: How many times slower the page is than this machine.
    """

    def __init__(self, page: Page, url: str, slowdown: int) -> None:
        self.page = page
        self.url = url
        self._slowdown = slowdown
        self._devtools: Any = page.context.new_cdp_session(page)
        # The thread's own time, whoever else uses the processor.
        self._devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
        self._before: Mapping[str, float] = {}

    def begin(self) -> None:
        """Slow it down, and count from now on."""
        self._devtools.send("Emulation.setCPUThrottlingRate", {"rate": self._slowdown})
        self.page.evaluate("window.longTasks.length = window.keys.length = 0")
        self._before = self._metrics()

    def blocking(self) -> Figures:
        """Return how long its tasks of more than 50 ms took since `begin`, in milliseconds."""
        tasks: list[float] = self.page.evaluate("window.longTasks")
        return {
            "blocked": sum(task - 50 for task in tasks),
            "longest task": max(tasks, default=0),
            "long tasks": len(tasks),
        }

    def keys(self) -> Figures:
        """Return how long it took from each key to the paint that shows it, in milliseconds."""
        # Those below the threshold are not reported.
        keys: list[float] = self.page.evaluate("window.keys")
        return {"slowest key": max(keys, default=16), "keys above 50": sum(key > 50 for key in keys)}

    def work(self) -> Figures:
        """Return the CPU time of the page's thread since `begin`, in milliseconds."""
        now = self._metrics()
        return {name: (now[metric] - self._before[metric]) * 1000 for name, metric in _WORK.items()}

    def _metrics(self) -> Mapping[str, float]:
        answer = self._devtools.send("Performance.getMetrics")
        return {one["name"]: one["value"] for one in answer["metrics"]}


@contextmanager
def slow_browser(folder: Path, reply: Reply, *, slowdown: int = SLOWDOWN) -> Generator[SlowBrowser]:
    """Open a new browser before a server of its own, on no page of it yet.

    Args:
        folder: The built page.
        reply: What the model answers.
        slowdown: How many times slower than this machine the browser is, once it is told to begin.
    """
    with (
        tempfile.TemporaryDirectory() as work,
        ReplayServer(reply) as upstream,
        usechat_serve(
            "--model",
            "claude-sonnet-4-6",
            folder=Path(work),
            ANTHROPIC_BASE_URL=upstream.url,
            ANTHROPIC_API_KEY="none",
            USECHAT_WEB_DIR=str(folder),
        ) as server,
        chromium() as browser,
    ):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(_WATCH)
        yield SlowBrowser(page, server.url, slowdown)
