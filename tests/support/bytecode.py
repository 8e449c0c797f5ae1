"""Bytecode for environments that tests make: of a server's packages it would be compiled for some five seconds."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

__all__ = ["lend_bytecode"]


def lend_bytecode(environment: Path, folder: Path) -> dict[str, str]:
    """Return variables with which the Python of another environment keeps its bytecode in a folder.

    The folder begins with what this process's environment has of the same packages. Python compiles a file whose time
    or size is another one, and replaces what is lent instead of writing into it.

    Args:
        environment: Made by this process's Python.
        folder: Does not exist yet.
    """
    # Without a prefix bytecode lies beside its sources; `make` always sets one.
    if sys.pycache_prefix is not None:
        library = Path(sysconfig.get_path("stdlib"))
        packages = Path(sysconfig.get_path("purelib"))
        theirs = environment / packages.relative_to(sys.prefix)
        for ours, place in ((library, library), (packages, theirs)):
            if (lent := Path(f"{sys.pycache_prefix}{ours}")).is_dir():
                shutil.copytree(lent, f"{folder}{place}", copy_function=os.symlink)
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder)}
