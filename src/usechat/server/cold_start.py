"""The application for a process that a request waits for, as it does for a serverless function's first one."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["load_app"]


def load_app() -> FastAPI:
    """What `usechat.server.app.create_app` gives, sooner.

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
        return app
    finally:
        if was_enabled:
            gc.enable()
