"""`ChatSocket` on a connection that breaks while something is on its way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from starlette.websockets import WebSocket

from tests.support.waiting import PATIENCE
from usechat import FinishEvent, UIMessageStreamWriter, ui_message_stream
from usechat.http.websocket import FIRST_FRAME_BYTES, WIDEN, ChatSocket

pytestmark = pytest.mark.anyio

MESSAGE = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
SEND = {"type": "send", "requestId": "a", "id": "chat", "trigger": "submit-message", "messages": [MESSAGE]}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Connection:
    """A server's two callables; sending fails from a message of one kind on.

    Args:
        frames: What the client sends before it falls silent.
        breaks_at: The kind of frame at which the connection breaks, or ``close`` for the closing.
        error: How the server says so.
    """

    def __init__(self, frames: Sequence[Any], breaks_at: str, error: type[Exception]) -> None:
        self.incoming: list[dict[str, Any]] = [{"type": "websocket.connect"}]
        self.incoming += [{"type": "websocket.receive", "text": json.dumps(frame)} for frame in frames]
        self.breaks_at = breaks_at
        self.error = error
        self.is_broken = asyncio.Event()
        self.sent: list[str] = []

    async def receive(self) -> dict[str, Any]:
        if self.incoming:
            return self.incoming.pop(0)
        async with asyncio.timeout(PATIENCE):
            await self.is_broken.wait()
            await asyncio.sleep(0.01)
        return {"type": "websocket.disconnect", "code": 1006}

    async def send(self, message: Any) -> None:
        kind = json.loads(message["text"])["type"] if "text" in message else message["type"].removeprefix("websocket.")
        if self.is_broken.is_set() or kind == self.breaks_at:
            self.is_broken.set()
            raise self.error("gone")
        self.sent.append(kind)


async def serve(connection: Connection) -> list[FinishEvent]:
    finished: list[FinishEvent] = []

    async def write(writer: UIMessageStreamWriter) -> None:
        writer.write_text("hello")

    websocket = WebSocket({"type": "websocket"}, connection.receive, connection.send)
    await ChatSocket(websocket, lambda chat: ui_message_stream(write, on_finish=finished.append)).serve()
    return finished


@pytest.mark.parametrize("error", [OSError, RuntimeError])
@pytest.mark.parametrize(("breaks_at", "is_aborted"), [("start", True), ("chunk", True), ("end", False)])
async def test_an_answer_whose_reader_is_gone_is_told_to_have_ended(
    error: type[Exception], breaks_at: str, is_aborted: bool, caplog: pytest.LogCaptureFixture
):
    finished = await serve(Connection([SEND], breaks_at, error))
    assert [event.is_aborted for event in finished] == [is_aborted]
    assert caplog.text == ""


@pytest.mark.parametrize("error", [OSError, RuntimeError])
async def test_a_refusal_that_nobody_hears_does_no_harm(error: type[Exception], caplog: pytest.LogCaptureFixture):
    assert await serve(Connection([{**SEND, "type": "dance"}], "error", error)) == []
    assert caplog.text == ""


@pytest.mark.parametrize("error", [OSError, RuntimeError])
async def test_a_connection_that_cannot_be_closed_is_over_all_the_same(error: type[Exception]):
    assert await serve(Connection([[]], "close", error)) == []


# Before the client is known


class Stranger(Connection):
    """A connection that never breaks; it stays silent, or leaves, after its frames."""

    def __init__(self, *texts: str, leaves: bool = False) -> None:
        super().__init__([], "never", OSError)
        self.incoming += [{"type": "websocket.receive", "text": text} for text in texts]
        self.incoming += [{"type": "websocket.disconnect", "code": 1001}] * leaves
        self.closed_with: int | None = None
        self.widened = 0

    async def receive(self) -> dict[str, Any]:
        if not self.incoming:
            await asyncio.Event().wait()
        return self.incoming.pop(0)

    async def send(self, message: Any) -> None:
        await super().send(message)
        self.closed_with = message.get("code", self.closed_with)

    def widen(self) -> None:
        self.widened += 1

    async def serve(self, authorize: Any) -> None:
        scope = {"type": "websocket", "extensions": {WIDEN: {"widen": self.widen}}}
        websocket = WebSocket(scope, self.receive, self.send)
        await ChatSocket(websocket, refuse_to_answer, authorize=authorize).serve()


def refuse_to_answer(chat: Any) -> Any:
    raise AssertionError(chat)


def refuse(headers: Mapping[str, str]) -> str:
    return "Who are you?"


def let_in(headers: Mapping[str, str]) -> None:
    pass


async def test_connection_without_a_key_lasts_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("usechat.http.websocket.KEY_SECONDS", 0.01)
    stranger = Stranger(json.dumps(SEND))
    await stranger.serve(refuse)
    assert stranger.sent[-1] == "close"
    assert stranger.closed_with == 1008
    assert stranger.widened == 0


async def test_connections_without_a_key_are_limited_in_number(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("usechat.http.websocket.MAX_UNKNOWN", 0)
    stranger = Stranger()
    await stranger.serve(refuse)
    assert stranger.sent == ["close"]


@pytest.mark.parametrize(
    ("text", "code"), [("x" * (FIRST_FRAME_BYTES + 1), 1009), ("[]", 1007), ('{"requestId":5}', 1007), ("", 1007)]
)
async def test_first_frame_of_a_stranger_is_small_and_a_frame(text: str, code: int):
    stranger = Stranger(text)
    await stranger.serve(refuse)
    assert stranger.closed_with == code


async def test_stranger_may_leave():
    stranger = Stranger(leaves=True)
    await stranger.serve(refuse)
    assert stranger.sent == ["accept"]


async def test_key_that_cannot_be_checked_lets_nobody_in(caplog: pytest.LogCaptureFixture):
    def broken(headers: Mapping[str, str]) -> str:
        raise OSError("no directory")

    stranger = Stranger(json.dumps(SEND), leaves=True)
    await stranger.serve(broken)
    assert stranger.sent == ["accept", "error"]
    assert "a key could not be checked" in caplog.text


async def test_client_that_needs_no_key_may_send_large_frames_at_once():
    stranger = Stranger(leaves=True)
    await stranger.serve(let_in)
    assert stranger.widened == 1
