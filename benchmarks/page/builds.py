"""The page as another revision has it: its sources are checked out and built, once."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.programs import CACHE, BenchmarkError
from benchmarks.revisions import checked_out
from scripts.progress import ROOT

__all__ = ["OURS", "page_of"]

OURS: Final = ROOT / "web" / "out"
"""The page of this checkout, as it was built last."""


def page_of(name: str) -> Path:
    """Return the folder of the built page of a revision.

    Raises:
        BenchmarkError: There is no such revision, or its page cannot be built.
    """
    with checked_out(name) as folder:
        kept = CACHE / "pages" / folder.name
        if not (kept / "index.html").is_file():
            _build(folder / "web")
            shutil.copytree(folder / "web" / "out", kept, dirs_exist_ok=True)
        return kept


def _build(web: Path) -> None:
    packages = ROOT / "web" / "node_modules"
    same = (ROOT / "web" / "package-lock.json").read_bytes() == (web / "package-lock.json").read_bytes()
    log = CACHE / "logs" / "page.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        if same and packages.is_dir():
            # The bundler follows no link out of its folder.
            shutil.copytree(packages, web / "node_modules", copy_function=os.link, symlinks=True, dirs_exist_ok=True)
        elif subprocess.run(["npm", "ci"], cwd=web, stdout=output, stderr=output, check=False).returncode:
            raise BenchmarkError(f"its packages cannot be installed ({log.relative_to(ROOT)})")
        built = subprocess.run(["npm", "run", "build:static"], cwd=web, stdout=output, stderr=output, check=False)
        if built.returncode:
            raise BenchmarkError(f"its page cannot be built ({log.relative_to(ROOT)})")
