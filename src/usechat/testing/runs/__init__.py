"""Checks for a run log of one's own, as tests of pytest.

    from usechat.testing.runs import RunLogSuite

    class TestMyLog(RunLogSuite):
        @pytest.fixture
        def open_log(self):
            return MyLog

Requires ``pytest``. The tests are run by the plugin of anyio, which usechat brings.
"""

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in ("logs", "reading", "ending", "keeping")))

from usechat.testing.runs.suite import RunLogSuite  # noqa: E402 - a failed assert shows what it compared

__all__ = ["RunLogSuite"]
