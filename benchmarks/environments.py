"""Where the peers' packages live: pinned in ``peers/``, installed on demand below ``.cache/bench``."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.programs import CACHE
from scripts.progress import ROOT

__all__ = ["NODE_4", "NODE_7", "PYTHON_PEERS", "VERCEL_PYTHON", "Environment", "node", "python"]

_PEERS = Path(__file__).parent / "peers"
_VENV = ROOT / ".venv" / "bin"


@dataclass(frozen=True)
class Environment:
    """The packages of some peers."""

    name: str
    kind: Literal["python", "node"]

    @property
    def folder(self) -> Path:
        """Where they are installed."""
        return CACHE / self.name

    def install(self) -> str | None:
        """Install what is not there yet; return why that failed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = CACHE / "logs" / f"packages-{self.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            for command in self._commands():
                if subprocess.run(command, cwd=self.folder, stdout=output, stderr=output, check=False).returncode:
                    return f"its packages cannot be installed ({log.relative_to(ROOT)})"
        return None

    def _commands(self) -> Sequence[Sequence[str | Path]]:
        if self.kind == "node":
            shutil.copyfile(_PEERS / f"{self.name}.json", self.folder / "package.json")
            return [["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]]
        # These need Python 3.12, which the deployment's tests need as well.
        base = ROOT / ".cache" / "deploy-python" / "bin" / "python"
        interpreter, pins = self.folder / "bin" / "python", _PEERS / f"{self.name}.txt"
        install = [_VENV / "uv", "pip", "install", "--python", interpreter, "--requirement", pins]
        return [
            [_VENV / "uv", "venv", "--allow-existing", "--python", base, self.folder],
            [ROOT / "scripts" / "packages", "with-index", *install],
        ]


def python(environment: Environment | None) -> Path:
    """Return the interpreter that has the environment's packages; the project's own without one."""
    return environment.folder / "bin" / "python" if environment is not None else _VENV / "python"


def node(environment: Environment) -> Path:
    """Return the Node that the environment pins."""
    return environment.folder / "node_modules" / "node" / "bin" / "node"


PYTHON_PEERS = Environment("python_peers", "python")
VERCEL_PYTHON = Environment("vercel_python", "python")
NODE_7 = Environment("node_7", "node")
NODE_4 = Environment("node_4", "node")
