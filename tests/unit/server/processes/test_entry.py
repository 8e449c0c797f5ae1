"""A process of our own loads its application without the garbage collector, and then has it again."""

from __future__ import annotations

import subprocess
import sys

import pytest


def told(program: str, **variables: str) -> str:
    """What a program of a process of its own prints: the collector is the process'."""
    settings = {"USECHAT_MODEL": "demo", "USECHAT_DATABASE_URL": "off", **variables}
    run = subprocess.run([sys.executable, "-c", program], env=settings, capture_output=True, text=True, check=True)
    return run.stdout.strip()


@pytest.mark.parametrize("is_enabled", [True, False])
def test_application_is_loaded_and_the_collector_is_as_it_was(is_enabled: bool) -> None:
    switch = "enable" if is_enabled else "disable"
    program = (
        f"import gc; gc.{switch}(); from usechat.server.processes.entry import load_app; "
        "before = gc.get_stats()[0]; app = load_app(); "
        "print(app.title, gc.isenabled(), gc.get_stats()[0] == before, gc.get_freeze_count() > 50_000)"
    )
    assert told(program) == f"usechat {is_enabled} True True"


def test_collector_is_back_where_the_settings_are_wrong() -> None:
    program = (
        "import gc\nfrom usechat.errors import ConfigurationError\n"
        "from usechat.server.processes.entry import load_app\n"
        "try:\n    load_app()\nexcept ConfigurationError:\n    print(gc.isenabled())"
    )
    assert told(program, USECHAT_PORT="none") == "True"
