"""The whole suite for a run log."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from usechat.runs.log import RunLog
from usechat.testing.runs.ending import EndChecks
from usechat.testing.runs.keeping import KeepChecks
from usechat.testing.runs.logs import Logs, OpenLog
from usechat.testing.runs.reading import ReadChecks

__all__ = ["RunLogSuite"]


class RunLogSuite(ReadChecks, EndChecks, KeepChecks):
    """The promises of a `usechat.runs.log.RunLog`, as tests. Make a subclass whose name begins with ``Test``.

    Define the fixture ``open_log``, in the subclass, its module or a ``conftest.py``: a function (or the log's class)
    that takes `usechat.runs.log.Limits` and returns a log. Of a log that is shared (``is_shared``) it is called several
    times in a test, for several processes, and each log has the runs of the others; the runs of a test are not there in
    the next one.
    """

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def anyio_backend(self) -> str:
        """Return the event loop to test in."""
        return "asyncio"

    @pytest.fixture
    async def logs(self, open_log: OpenLog) -> AsyncIterator[Logs]:
        """Yield the maker of the logs of a test."""
        made = Logs(open_log)
        yield made
        await made.aclose()

    @pytest.fixture
    def near(self, logs: Logs) -> RunLog:
        """Return the log of the process that makes the runs."""
        return logs.make()

    @pytest.fixture
    def far(self, logs: Logs, near: RunLog) -> RunLog:
        """Return the log as another process has it."""
        return logs.make()
