"""Imports of large packages, for a process of our own."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["collecting_later", "import_quickly"]


@contextmanager
def collecting_later() -> Generator[None]:
    """Keep the garbage collector out of the way.

    Imports make some hundred thousand objects that all stay. Collections meanwhile would take a quarter of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def import_quickly(name: str) -> None:
    """Import a module with all that it imports."""
    with collecting_later():
        importlib.import_module(name)
