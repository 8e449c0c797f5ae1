"""The Messages API that the servers under test talk to: one for all tests, scripted anew by each."""

from __future__ import annotations

from tests.support.scripted_upstream import ScriptedUpstream
from usechat.testing.replay import ReplayedRequest, Reply

__all__ = ["ASK_FOR_SILENCE", "OVERLOADED", "WHOLE_TEXT", "WORDS", "Upstream"]

WORDS = ("High water ", "is at ", "14:20 ", "in Whitby.")
"""The deltas of the stream named ``text``."""
WHOLE_TEXT = "".join(WORDS)
OVERLOADED = Reply(status=529, headers={"x-should-retry": "false"})
"""The service has no room, and tells the `anthropic` package not to try again by itself."""

ASK_FOR_SILENCE = "Think for 36 seconds."
_SILENT = Reply("text", split=-1, delay=36)


class Upstream(ScriptedUpstream):
    """Whoever writes `ASK_FOR_SILENCE` is answered after that silence, whatever else has been scripted."""

    def next_reply(self, request: ReplayedRequest) -> Reply:
        """What this request is answered."""
        return _SILENT if ASK_FOR_SILENCE.encode() in request.body else super().next_reply(request)
