"""Runs the checks, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from usechat import __version__
from usechat.doctor.backend import Backend
from usechat.doctor.check import Check, Unseen
from usechat.doctor.checks import CHECKS
from usechat.doctor.report import Report, Result
from usechat.doctor.target import Target

__all__ = ["examine"]


async def examine(target: Target, checks: Sequence[Check] = CHECKS) -> Report:
    """Return what the checks have seen of a backend. It is asked for one answer, and a second one if it resumes."""
    agent = {"user-agent": f"usechat-doctor/{__version__}"}
    # A server may close a kept connection just when it is used again, which is no fault of the next answer.
    limits = httpx.Limits(max_keepalive_connections=0)
    # Each exchange has a time of its own; the client's would cut a model that thinks.
    async with httpx.AsyncClient(timeout=None, follow_redirects=True, headers=agent, limits=limits) as client:  # noqa: S113
        backend = Backend(target, client)
        return Report(target.url, [await run_check(check, backend) for check in checks])


async def run_check(check: Check, backend: Backend) -> Result:
    try:
        return Result(check, await check.run(backend))
    except Unseen as unseen:
        return Result(check, None, str(unseen))
