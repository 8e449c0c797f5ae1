"""Gives memory back to the system that the C library keeps for this process.

A large answer, or many readers at once, leave holes between what lives on. glibc uses them again, and gives none back
by itself, so a busy minute would be seen for as long as the process lives.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["give_back_for_ever"]

PAUSE_SECONDS: Final = 15.0
MUCH: Final = 32 * 2**20
"""Bytes beyond the least that the process has had: less is not worth the while."""
STATM: Final = Path("/proc/self/statm")


async def give_back_for_ever(pause: float = PAUSE_SECONDS) -> None:
    """Give memory back from time to time while there is much more of it than there was. Return where that cannot be.

    Args:
        pause: Seconds.
    """
    trim = find_trim()
    if trim is None:
        return
    least = resident_bytes()
    while True:
        await asyncio.sleep(pause)
        if resident_bytes() > least + MUCH:
            # Takes some milliseconds, and Python's lock is free meanwhile.
            await asyncio.to_thread(trim, 0)
        least = min(least, resident_bytes())


def find_trim() -> Callable[[int], int] | None:
    """Return glibc's ``malloc_trim``; None on other systems."""
    if not STATM.exists():
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


def resident_bytes() -> int:
    """Return the memory that the process has."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
