"""Loads the application in a process of its own: a worker of ``usechat serve`` or a serverless function.

Here the process is ours, so its garbage collector is set up. `usechat.server.app.create_app` leaves that to its caller.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Final

from usechat.server.processes.imports import collecting_later

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["load_app"]

COLLECT_AFTER: Final = (10_000, 10, 10)
"""Thresholds for `gc.set_threshold`. An answer leaves no cycles to find, and a few hundred open answers are some 10,000
objects."""


def load_app() -> FastAPI:
    """Return the application of `usechat.server.app.create_app`, loaded with the garbage collector out of the way.

    Later collections need not look at the objects that the imports made: they all stay.

    Raises:
        ConfigurationError: As for `usechat.server.app.create_app`.
    """
    with collecting_later():
        from usechat.server.app import create_app

        app = create_app()
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)
        return app
