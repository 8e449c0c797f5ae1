"""The application for a process that does nothing else: a worker of ``usechat serve``, or a serverless function.

Such a process is ours to set up, which `usechat.server.app.create_app` leaves to whoever calls it.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["load_app"]

COLLECT_AFTER: Final = (10_000, 10, 10)
"""How many objects more than before there are when the garbage collector looks at the new ones, and after how many
such looks at older ones. An answer leaves nothing for it to find; a few hundred open ones are as many objects."""


def load_app() -> FastAPI:
    """What `usechat.server.app.create_app` gives, sooner, and with a garbage collector that is seldom in the way.

    Importing makes some hundred thousand objects, all of them to stay. The garbage collector, which looks through them
    again and again meanwhile, would take a quarter of the time; nor need it look at them later.

    Raises:
        ConfigurationError: As for `usechat.server.app.create_app`.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        from usechat.server.app import create_app

        app = create_app()
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)
        return app
    finally:
        if was_enabled:
            gc.enable()
