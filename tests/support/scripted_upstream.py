"""A stand-in for the Messages API that many tests share: each scripts it anew."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Self

from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply

__all__ = ["ScriptedUpstream"]


class ScriptedUpstream:
    """A replay server whose replies can be changed while it runs; a context manager."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._replies: Sequence[Reply] = ()
        self._server = ReplayServer(self.next_reply)
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

    def next_reply(self, request: ReplayedRequest) -> Reply:
        """What this request is answered."""
        with self._lock:
            self.requests.append(request)
            return self._replies[min(len(self.requests), len(self._replies)) - 1]

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
