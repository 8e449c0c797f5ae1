"""A time of day of its own for a program, which jumps when it is told to: what a host has whose clock was set wrong.

It is compiled when it is first needed, and takes a C compiler.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["HAS_CLOCKS", "own_clock", "set_clock"]

HAS_CLOCKS: Final = shutil.which("cc") is not None
"""Whether this machine can have one."""
_FILE: Final = "clock"
_SOURCE: Final = Path(__file__).with_name("clock.c")


def own_clock(folder: Path) -> Mapping[str, str]:
    """Return the variables of a program whose clock is set by a file in a folder; none where nobody has set it."""
    if not (folder / _FILE).exists():
        return {}
    library = folder / "clock.so"
    if not library.exists():
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-o", library, _SOURCE], check=True)
    return {"LD_PRELOAD": str(library), "OWN_CLOCK": str(folder / _FILE)}


def set_clock(folder: Path, seconds: int) -> None:
    """Have the clock of a program that `own_clock` gives one be off by so many seconds."""
    path = folder / _FILE
    # The program has the file mapped: it is written in place.
    with path.open("r+b" if path.exists() else "wb") as output:
        output.write(seconds.to_bytes(8, "little", signed=True))
