"""Imports of large packages, for a process of our own, and of what an application names."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import Any

from usechat.errors import ConfigurationError

__all__ = ["collecting_later", "import_named", "import_quickly"]


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


def import_named(target: str, what: str) -> Any:
    """Return what ``MODULE:NAME`` means. The working folder's modules are found, too.

    Args:
        target: The module and the name.
        what: What is looked for, for the error, such as "agent".

    Raises:
        ConfigurationError: There is no such module or name.
        Exception: Whatever the module's own code raises.
    """
    module_name, _, name = target.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # a module that the application's code wants
        raise ConfigurationError(
            f"the {what} {target} is not there: no module {error.name} can be found from {here}"
        ) from None
    try:
        return reduce(getattr, name.split("."), module)
    except AttributeError:
        raise ConfigurationError(f"the {what} {target} is not there: {module_name} has no {name}") from None
