"""Where the peers' packages live: pinned in ``peers/``, installed on demand below ``.cache/bench``."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.programs import CACHE
from scripts.preparations import DEPLOY_PYTHON, Preparation
from scripts.progress import ROOT, Command
from scripts.stamps import fingerprint

__all__ = ["NODE_4", "NODE_7", "PROFILER", "PYTHON_3_12", "PYTHON_PEERS", "VERCEL_PYTHON", "node", "python"]

_PEERS = Path(__file__).parent / "peers"
_PYTHON_3_12 = ROOT / ".cache" / "deploy-python" / "bin" / "python"


def python(environment: Preparation | None) -> Path:
    """The interpreter that has the environment's packages; the project's own without one."""
    return (environment.product if environment is not None else ROOT / ".venv") / "bin" / "python"


def node(environment: Preparation) -> Path:
    """The Node that the environment pins."""
    return environment.product / "node_modules" / "node" / "bin" / "node"


def _python_packages(name: str) -> Preparation:
    pins = _PEERS / f"{name}.txt"
    folder = CACHE / name

    def make(run: Callable[[Command], None]) -> None:
        interpreter = _PYTHON_3_12 if _PYTHON_3_12.exists() else sys.executable
        run(Command(arguments=[interpreter, "-m", "venv", "--clear", folder]))
        run(Command(arguments=[folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--requirement", pins]))

    return Preparation(
        name=f"bench-{name}",
        title=f"Installing the Python packages of benchmarks/peers/{name}.txt",
        product=folder,
        made_from=lambda: fingerprint([pins]),
        make=make,
        without="its rows are left out",
    )


def _node_packages(name: str) -> Preparation:
    pins = _PEERS / f"{name}.json"
    folder = CACHE / name

    def make(run: Callable[[Command], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pins, folder / "package.json")
        run(Command(arguments=["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"], folder=folder))

    return Preparation(
        name=f"bench-{name}",
        title=f"Installing the npm packages of benchmarks/peers/{name}.json",
        product=folder,
        made_from=lambda: fingerprint([pins]),
        make=make,
        without="its rows are left out",
    )


PYTHON_3_12 = DEPLOY_PYTHON
"""The peers in Python need 3.12, which the deployment's tests need as well."""
PYTHON_PEERS = _python_packages("python_peers")
VERCEL_PYTHON = _python_packages("vercel_python")
PROFILER = _python_packages("profiler")
NODE_7 = _node_packages("node_7")
NODE_4 = _node_packages("node_4")
