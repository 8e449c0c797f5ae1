"""The command line's ``usechat doctor``."""

from __future__ import annotations

import asyncio
from pathlib import Path

from usechat.doctor.run import examine
from usechat.doctor.target import Target
from usechat.errors import ConfigurationError

__all__ = ["doctor"]


def doctor(target: Target, *, as_json: bool, junit: Path | None) -> tuple[str, int]:
    """Return the report that is printed, and the exit status.

    Args:
        target: The backend.
        as_json: Whether the report is JSON.
        junit: The file for JUnit's XML.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    report = asyncio.run(examine(target))
    if junit is not None:
        try:
            junit.write_bytes(report.junit())
        except OSError as error:
            raise ConfigurationError(f"--junit: {junit} cannot be written: {error.strerror or error}") from error
    return report.json() if as_json else report.text(), report.exit_status
