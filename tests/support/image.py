"""What Dockerfile and compose.yaml say, for tests that run it where there is no Docker."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.support.programs import ROOT

__all__ = ["FINAL", "STAGES", "build", "command", "read_services", "relocate", "variables"]

FINAL = "final"
"""The stage that has no name."""
_PREFIX = "/opt/usechat"
_TOOLS = "pip install --disable-pip-version-check --require-hashes --requirement requirements/bootstrap.lock && "


def _read_dockerfile() -> Mapping[str, Sequence[tuple[str, str]]]:
    stages: dict[str, list[tuple[str, str]]] = {}
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    for name, _, value in (line.partition(" ") for line in lines if line):
        if name == "FROM":
            stages[value.partition(" AS ")[2] or FINAL] = []
        else:
            [*_, stage] = stages.values()
            stage.append((name, value))
    return stages


STAGES = _read_dockerfile()
"""The instructions of each stage, by its name."""


def build(folder: Path) -> Path:
    """Do what the stage ``packages`` does in a folder; return what is ``/opt/usechat`` in the image.

    The tools that it begins with are in ``.venv``, by the same lock.
    """
    work, prefix = folder / "build", folder / "usechat"
    for name, value in STAGES["packages"]:
        if name == "COPY":
            _copy(value.split(), work)
        elif name == "RUN":
            line = f"cd '{work}' && {value.removeprefix(_TOOLS).replace(_PREFIX, str(prefix))}"
            path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            run = [ROOT / "scripts" / "packages", "with-index", "sh", "-ec", line]
            done = subprocess.run(run, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    return prefix


def _copy(words: Sequence[str], work: Path) -> None:
    *sources, target = words
    for source in sources:
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, work / target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (work / target).mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, work / target)


def command(instruction: str) -> list[str]:
    """The words of the image's ``CMD`` or ``HEALTHCHECK``."""
    [value] = [value for name, value in STAGES[FINAL] if name == instruction]
    return json.loads(value[value.index("[") :])


def variables() -> dict[str, str]:
    """The image's own environment, with the path of this process's behind its own."""
    words = " ".join(value for name, value in STAGES[FINAL] if name == "ENV").split()
    return {
        name: value.replace("$PATH", os.environ["PATH"]) for name, _, value in (word.partition("=") for word in words)
    }


def read_services(values: Mapping[str, str]) -> Mapping[str, Any]:
    """The services of compose.yaml.

    Args:
        values: What stands in ``.env``.

    Raises:
        KeyError: One that must be there is not.
    """

    def value(found: re.Match[str]) -> str:
        return values.get(found[1], found[3]) if found[2] == ":-" else values[found[1]]

    text = re.sub(r"\$\{(\w+)(:-|:\?)([^}]*)\}", value, (ROOT / "compose.yaml").read_text())
    return yaml.safe_load(text)["services"]


def relocate(text: str, places: Mapping[str, str]) -> str:
    """A text with places of a server's machine or network changed to the test's own; each must be named in it."""
    for place, own in places.items():
        assert place in text, place
        text = text.replace(place, own)
    return text
