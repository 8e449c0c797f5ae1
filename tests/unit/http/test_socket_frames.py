"""What a client sends over a WebSocket is a frame, or is refused as none."""

from __future__ import annotations

import pytest

from usechat.http.socket_frames import InvalidFrameError, read_frame
from usechat.messages.limits import DEFAULT_LIMITS


@pytest.mark.parametrize("text", ["", "x", '{"type":"send"', '{"type":NaN}', "[]", '"send"', "1", None])
def test_text_that_is_no_json_object_is_no_frame(text: str | None) -> None:
    with pytest.raises(InvalidFrameError):
        read_frame({"type": "websocket.receive", "text": text}, DEFAULT_LIMITS)


def test_json_object_is_a_frame() -> None:
    assert read_frame({"type": "websocket.receive", "text": '{"type":"resume"}'}, DEFAULT_LIMITS) == {"type": "resume"}
