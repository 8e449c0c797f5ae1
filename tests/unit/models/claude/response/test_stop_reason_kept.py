"""A stop reason that the provider gave stays, whatever events follow."""

from __future__ import annotations

from usechat.models.claude.response.events import AnthropicStream
from usechat.parts import ModelFinish


def test_a_later_delta_without_a_stop_reason_does_not_erase_it() -> None:
    stream = AnthropicStream()
    stream.feed_event({"type": "message_start", "message": {"id": "m", "model": "c", "usage": {}}})
    stream.feed_event({"type": "message_delta", "delta": {"stop_reason": "tool_use"}})
    stream.feed_event({"type": "message_delta", "delta": {"stop_reason": None}})
    stream.feed_event({"type": "message_stop"})
    finish = stream.finish()[-1]
    assert isinstance(finish, ModelFinish)
    assert finish.finish_reason.unified == "tool-calls"
