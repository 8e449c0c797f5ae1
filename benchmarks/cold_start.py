"""How long a new process takes to import what it is going to run, beyond starting Python itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks.environments import python
from benchmarks.measure import Figure
from scripts.progress import ROOT

__all__ = ["measure_cold_start"]

_STATEMENTS = {
    "import usechat": "import usechat",
    "from usechat import stream_text": "from usechat import stream_text, ChatRequest",
    "api/index.py": "import index",
}


def measure_cold_start(rounds: int, announce: Callable[[str], None]) -> tuple[dict[str, Figure], dict[str, str]]:
    """Import each in new processes; returns figures and what could not be imported."""
    figures: dict[str, Figure] = {}
    problems: dict[str, str] = {}
    _seconds("pass")  # brings the interpreter into memory
    for _ in range(rounds):
        for name, statement in _STATEMENTS.items():
            announce(name)
            try:
                took = _seconds(statement) - _seconds("pass")
            except subprocess.CalledProcessError as error:
                problems[name] = error.stderr.decode(errors="replace").strip().splitlines()[-1]
                continue
            figures.setdefault(name, Figure("s")).values.append(max(took, 0.0))
    return figures, problems


def _seconds(statement: str) -> float:
    """Wall time of a process that runs the statement, as deployed on Vercel: bytecode there, no site customisation."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "api")])
    deployed = {"VERCEL": "1", "USECHAT_API_KEYS": "a-key-for-the-benchmark", "ANTHROPIC_API_KEY": "bench"}
    variables = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": path, **deployed}
    interpreter = python(None) if python(None).exists() else sys.executable
    started = time.perf_counter()
    subprocess.run([interpreter, "-c", statement], cwd=ROOT, env=variables, capture_output=True, check=True)
    return time.perf_counter() - started
