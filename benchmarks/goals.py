"""What our server should reach, beside what it did. A goal without figures stays open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.results import Results

__all__ = ["GOALS", "Goal", "Verdict"]


@dataclass(frozen=True)
class Verdict:
    """A figure, and whether it is good enough."""

    figure: str
    is_met: bool


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One line of what should be reached."""

    subject: str
    goal: str
    judge: Callable[[Results], Verdict | None]
    """None when the run did not measure it."""


def _at_most(phase: str, row: str, limit: float, unit: str) -> Callable[[Results], Verdict | None]:
    def judge(results: Results) -> Verdict | None:
        value = results.median(phase, row)
        return None if value is None else Verdict(f"{value:.2f} {unit}", value <= limit)

    return judge


def _at_least(phase: str, row: str, limit: float, unit: str) -> Callable[[Results], Verdict | None]:
    def judge(results: Results) -> Verdict | None:
        value = results.median(phase, row)
        return None if value is None else Verdict(f"{value:.0f} {unit}", value >= limit)

    return judge


def _times_less(phase: str, peer: str, times: float) -> Callable[[Results], Verdict | None]:
    def judge(results: Results) -> Verdict | None:
        ratio = results.ratio(phase, peer, "usechat")
        return None if ratio is None else Verdict(f"{ratio:.1f} times", ratio >= times)

    return judge


def _at_most_times(phase: str, row: str, other: str, times: float) -> Callable[[Results], Verdict | None]:
    def judge(results: Results) -> Verdict | None:
        ratio = results.ratio(phase, row, other)
        return None if ratio is None else Verdict(f"{ratio:.2f} times", ratio <= times)

    return judge


def _at_most_more(phase: str, row: str, than: str, limit: float, unit: str) -> Callable[[Results], Verdict | None]:
    def judge(results: Results) -> Verdict | None:
        value, other = results.median(phase, row), results.median(phase, than)
        if value is None or other is None:
            return None
        return Verdict(f"{value - other:.0f} {unit}", value - other <= limit)

    return judge


def _at_least_times(phase: str, row: str, other: str, times: float) -> Callable[[Results], Verdict | None]:
    def judge(results: Results) -> Verdict | None:
        ratio = results.ratio(phase, row, other)
        return None if ratio is None else Verdict(f"{ratio:.2f} times", ratio >= times)

    return judge


def _goal(subject: str, goal: str, judge: Callable[[Results], Verdict | None]) -> Goal:
    return Goal(subject=subject, goal=goal, judge=judge)


_USUAL = "UI message stream"

GOALS = (
    _goal("burst", "at most 3.5 µs a delta", _at_most("burst", "usechat", 3.5, "µs")),
    _goal("burst, AI SDK 7 on Node", "at least 20 times ours", _times_less("burst", "ai-sdk-7", 20)),
    _goal(
        "burst, FastAPI on `create(stream=True)`", "at least 20 times ours", _times_less("burst", "fastapi-create", 20)
    ),
    *(
        _goal(f"burst, {row}", "within 20 % of text", _at_most_times("formats", row, _USUAL, 1.2))
        for row in ("AI SDK 4's data stream", "thinking", "tool input")
    ),
    _goal("paced", "at most 90 µs a delta", _at_most("paced", "usechat", 90, "µs")),
    _goal("paced, AI SDK 7 on Node", "at least 5 times ours", _times_less("paced", "ai-sdk-7", 5)),
    _goal(
        "paced, against the aiohttp byte proxy",
        "at most 1.3 times",
        _at_most_times("paced", "usechat", "proxy-aiohttp", 1.3),
    ),
    _goal("held", "at least 400 streams", _at_least("held", "usechat", 400, "streams")),
    _goal("memory of an open stream", "at most 40 KiB", _at_most("memory", "usechat", 40, "KiB")),
    _goal(
        "memory after 100,000 answers, against 10,000",
        "flat: at most 1.02 times",
        _at_most_times("soak", "after 100,000 answers", "after 10,000 answers", 1.02),
    ),
    *(
        _goal(
            f"growth, {row}: 50,000 deltas against 500",
            "at most 1.1 times a delta",
            _at_most_times("growth", f"{row}, 50000", f"{row}, 500", 1.1),
        )
        for row in ("text", "thinking", "tool input")
    ),
    _goal("first chunk, one stream", "at most 1.5 ms", _at_most("first chunk", "usechat, 1", 1.5, "ms")),
    _goal("first chunk, p99 at 100 streams", "at most 5 ms", _at_most("first chunk", "usechat, 100", 5, "ms")),
    _goal("request, 50 messages and 5 tools", "at most 1.5 ms", _at_most("request", "usechat-tools, 50", 1.5, "ms")),
    _goal("2 workers on 2 cores", "at least 1.8 times one", _at_least_times("workers", "2 workers", "1 workers", 1.8)),
    _goal("cold start, `import usechat`", "at most 0.15 s", _at_most("cold start", "import usechat", 0.15, "s")),
    _goal("cold start, `api/index.py`", "at most 0.6 s", _at_most("cold start", "api/index.py", 0.6, "s")),
    _goal(
        "Redis log against memory log, burst", "at most 1.5 times", _at_most_times("durability", "redis", "memory", 1.5)
    ),
    *(
        _goal(
            f"safety, {kind}: everything on against off",
            "at most 1.05 times a delta",
            _at_most_times("safety", f"{kind}, a delta, everything on", f"{kind}, a delta, everything off", 1.05),
        )
        for kind in ("burst", "paced")
    ),
    _goal(
        "safety: a request with everything on",
        "at most 200 µs more",
        _at_most_more("safety", "a request, everything on", "a request, everything off", 200, "µs"),
    ),
)
