"""The Messages API that the servers under test talk to: one for all tests, scripted anew by each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tests.support.scripted_upstream import ScriptedUpstream
from usechat.demo.texts import LONG
from usechat.testing.replay import ReplayedRequest, Reply

__all__ = ["ASK_FOR_SILENCE", "OVERLOADED", "WHOLE_TEXT", "WORDS", "Upstream", "long_until", "text_events"]

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


def text_events(text: str, deltas: int = 1) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream with this text, in so many deltas."""
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
    }
    yield {"type": "message_start", "message": {**message, "usage": {"input_tokens": 1, "output_tokens": 1}}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for number in range(deltas):
        piece = text[len(text) * number // deltas : len(text) * (number + 1) // deltas]
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": deltas}}
    yield {"type": "message_stop"}


def long_until(words: str) -> Reply:
    """The demo's long answer, which stops behind these words until its request may go on. The demo takes 35 seconds."""
    deltas = 200
    count = math.ceil((LONG.index(words) + len(words)) * deltas / len(LONG))
    return Reply(events=[*text_events(LONG, deltas)], hold_after=2 + count, delay=0.01)
