"""A small disk that can be full."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["fill", "small_disk"]


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Generator[bool]:
    """Mount one in an empty folder; say whether whoever runs this may."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder], capture_output=True, check=False
    )
    try:
        yield not mounted.returncode
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path) -> Path:
    """Leave no byte; return what takes the room."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as output:
        for size in (65536, 4096, 1):
            try:
                while output.write(b"x" * size):
                    pass
            except OSError:
                continue
    return filler
