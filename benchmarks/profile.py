"""Where our server's time goes: a flame graph of it under load, by py-spy, which looks at it from outside."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.bodies import body_file
from benchmarks.environments import PROFILER
from benchmarks.flame import render_flame
from benchmarks.measure import take_sample
from benchmarks.programs import CACHE, BenchmarkError, LoadPlan, upstream
from benchmarks.servers import running
from benchmarks.targets import OURS
from scripts.preparations import carry_out_all
from scripts.progress import Progress

__all__ = ["PROFILES", "draw_flame_graph"]

PROFILES = {
    "burst": LoadPlan(answer="bench:500:0", streams=16, requests=160),
    "paced": LoadPlan(answer="bench:100:20000", streams=40, requests=40, ramp_ms=20),
    "request": LoadPlan(answer="bench:1:0", streams=4, requests=400),
}
"""What the server does meanwhile."""
_TITLES = {
    "burst": "usechat serve, answers of 500 deltas as fast as they are read",
    "paced": "usechat serve, a delta every 20 ms in each of 40 answers",
    "request": "usechat serve, answers of one delta",
}
_SECONDS = 10
_SAMPLES_A_SECOND = 250


def draw_flame_graph(name: str, announce: Callable[[str], None]) -> Path:
    """Draw one of `PROFILES`; returns the SVG.

    Raises:
        BenchmarkError: py-spy cannot be installed, or may not look at other processes here.
    """
    if not PROFILER.is_current() and carry_out_all([PROFILER], Progress(1)):
        raise BenchmarkError("py-spy cannot be installed")
    plan = PROFILES[name]
    stacks, picture = CACHE / f"flame-{name}.txt", CACHE / f"flame-{name}.svg"
    with ExitStack() as stack:
        server = stack.enter_context(running(OURS, stack.enter_context(upstream())))
        body = body_file("ui", plan.answer)
        take_sample(server, body, plan)
        command = [PROFILER.product / "bin" / "py-spy", "record", "--nonblocking", "--pid", str(server.pid)]
        options = ["--format", "raw", "--rate", str(_SAMPLES_A_SECOND), "--duration", str(_SECONDS)]
        command += [*options, "--output", stacks]
        profiler = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while profiler.poll() is None:
            announce(name)
            take_sample(server, body, plan)
        _, errors = profiler.communicate()
    if profiler.returncode != 0:
        raise BenchmarkError(f"py-spy: {errors.strip().splitlines()[-1] if errors.strip() else 'failed'}")
    with stacks.open() as lines:
        picture.write_text(render_flame(lines, _TITLES[name]))
    return picture
