"""What keys, limits and metrics cost: one server with all of them beside one with none, in turn."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from benchmarks.bench import Bench, text_case
from benchmarks.bodies import body_file
from benchmarks.measure import Case, Reading, warm_up
from benchmarks.programs import KEY, LoadPlan
from benchmarks.targets import OURS

__all__ = ["SAFETY_OFF", "SAFETY_ON", "measure_safety"]

SAFETY_ON: Final[Mapping[str, str]] = {
    "USECHAT_API_KEYS": KEY,
    "USECHAT_METRICS": "true",
    "USECHAT_REQUESTS_PER_MINUTE": "1000000000",
    "USECHAT_ANSWERS_EACH": "1000",
    "USECHAT_TOKENS_PER_DAY": "1000000000000",
    "USECHAT_ANSWER_SECONDS": "600",
    "USECHAT_STEP_SECONDS": "300",
    "USECHAT_LOG_FORMAT": "json",
}
SAFETY_OFF: Final[Mapping[str, str]] = {"USECHAT_INSECURE": "true", "USECHAT_MAX_ANSWERS": "0"}
_SIDES: Final = {"on": SAFETY_ON, "off": SAFETY_OFF}
_WARM_UP: Final = LoadPlan(answer="bench:500:0", streams=8, requests=24)
_QUESTIONS: Final[Mapping[str, tuple[LoadPlan, Reading]]] = {
    "burst, a delta": (LoadPlan(answer="bench:500:0", streams=16, requests=20_000), lambda one: one.us_per_delta),
    "paced, a delta": (
        LoadPlan(answer="bench:100:20000", streams=40, requests=40, ramp_ms=20),
        lambda one: one.us_per_delta,
    ),
    "a request": (LoadPlan(answer="bench:1:0", streams=4, requests=20_000), lambda one: one.ms_per_request * 1000),
}


def measure_safety(bench: Bench) -> None:
    """Measure both in turn, and file the figures."""
    with ExitStack() as stack:
        servers = {
            side: stack.enter_context(
                bench.fresh(replace(OURS, name=f"safety-{side}", variables={**OURS.variables, **variables}))
            )
            for side, variables in _SIDES.items()
        }
        for server in servers.values():
            warm_up(server, body_file("ui", _WARM_UP.answer), _WARM_UP, bench.effort.warm_up_s)
        cases: list[Case] = [
            text_case(server, plan, reading, "µs", row=f"{question}, everything {side}")
            for question, (plan, reading) in _QUESTIONS.items()
            for side, server in servers.items()
        ]
        bench.compare("safety", cases, rounds=2 * bench.effort.rounds + 1)
