"""Packages that only some users need: what needs one says which extra brings it.

Each extra stands under ``[project.optional-dependencies]`` in ``pyproject.toml``.
"""

from __future__ import annotations

from types import TracebackType
from typing import Literal, TypeAlias

from usechat.errors import ConfigurationError

__all__ = ["Extra", "needing"]

Extra: TypeAlias = Literal["doctor", "jwt", "local", "metrics", "postgres", "redis", "server", "sqlite", "telemetry"]


class needing:  # noqa: N801 - it reads as the statement that it is part of
    """Import an extra's packages within it: ``with needing("redis"): from redis import asyncio``.

    Args:
        extras: Each of them brings the packages.

    Raises:
        ConfigurationError: A package is missing; the text names the extra that brings it.
    """

    def __init__(self, *extras: Extra) -> None:
        self.extras = extras

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise `ConfigurationError` in the place of `ModuleNotFoundError`."""
        if isinstance(error, ModuleNotFoundError):
            install = " or ".join(f"pip install 'usechat[{extra}]'" for extra in self.extras)
            raise ConfigurationError(f"The package {error.name} is not installed: {install}.") from error
