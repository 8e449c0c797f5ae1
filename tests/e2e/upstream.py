"""The Messages API that the servers under test talk to: one for all tests, scripted anew by each."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Self

from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply

__all__ = ["ASK_FOR_SILENCE", "OVERLOADED", "WHOLE_TEXT", "WORDS", "Upstream"]

WORDS = ("High water ", "is at ", "14:20 ", "in Whitby.")
"""The deltas of the stream named ``text``."""
WHOLE_TEXT = "".join(WORDS)
OVERLOADED = Reply(status=529, headers={"x-should-retry": "false"})
"""The service has no room, and tells the `anthropic` package not to try again by itself."""

ASK_FOR_SILENCE = "Think for 36 seconds."
_SILENT = Reply("text", split=-1, delay=36)


class Upstream:
    """A replay server whose replies can be changed while it runs; a context manager.

    Whoever writes `ASK_FOR_SILENCE` is answered after that silence, whatever else has been scripted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._replies: Sequence[Reply] = ()
        self._server = ReplayServer(self._next_reply)
        self.requests: list[ReplayedRequest] = []
        """Those since the last script, in order."""

    @property
    def url(self) -> str:
        """The base URL for the `anthropic` package."""
        return self._server.url

    def will(self, *replies: Reply) -> None:
        """Answer the next requests with these replies, the last of them from then on."""
        with self._lock:
            self._replies, self.requests = replies, []

    def _next_reply(self, request: ReplayedRequest) -> Reply:
        if ASK_FOR_SILENCE.encode() in request.body:
            return _SILENT
        with self._lock:
            self.requests.append(request)
            return self._replies[min(len(self.requests), len(self._replies)) - 1]

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
