"""Answers that fail on their way to a reader."""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.types import Message

from tests.unit.http.connections import BODY, Connection, chunks, spoken, types
from usechat import FinishEvent, stream_text, ui_message_stream
from usechat.answers.answer import Answer, Callbacks, Outcome
from usechat.answers.loop.asks import Call, Script
from usechat.answers.loop.turn import Turn
from usechat.answers.writer.ui_message_stream import UIMessageStreamWriter
from usechat.errors import AnswerFailedError, ConfigurationError, ProviderStreamError, StreamProtocolError
from usechat.messages import ui
from usechat.parts import Data, Part, Start, TextDelta, TextEnd, TextStart
from usechat.runs.memory.log import MemoryLog
from usechat.runs.service import RunService
from usechat.testing.models import Hold, ScriptedModel, Step, saying

pytestmark = pytest.mark.anyio

OVERLOADED = ProviderStreamError("overloaded", provider="scripted", is_retryable=True)


async def test_answer_that_cannot_be_encoded_ends_in_an_error():
    heard: list[FinishEvent] = []

    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.write(TextStart("0"))
        writer.write(Data(name="bad", data=object()))
        writer.write(TextDelta("0", "never sent"))

    body = (await Connection(ui_message_stream(execute, on_finish=heard.append)).run()).decode()
    assert types(body)[-4:] == ["text-start", "text-end", "error", "finish"]
    assert "never sent" not in body
    (event,) = heard
    assert isinstance(event.error, TypeError)
    assert not event.is_aborted


BROKEN_TRY: Step = [[TextStart("0"), TextDelta("0", "wrong")], OVERLOADED]


async def test_step_that_broke_is_shown_anew_and_saved_once():
    heard: list[FinishEvent] = []
    answer = stream_text(
        ScriptedModel(BROKEN_TRY, saying("right")), prompt="Hi", stream_retries=1, on_finish=heard.append
    )
    body = (await Connection(answer, sdk="7.0.173").run()).decode()
    assert types(body)[2:5] == ["text-start", "text-delta", "reset-step"]
    assert types(body)[-1] == "finish"
    assert heard[0].text == "right"
    assert [part["text"] for part in heard[0].ui_message["parts"] if part["type"] == "text"] == ["right"]


@pytest.mark.parametrize(
    "options", [{"sdk": 6}, {"sdk": 4}, {"sdk": 7}, {"sdk": "7.0.173", "wire_format": "events"}, {}]
)
async def test_reader_that_cannot_forget_is_shown_no_step_twice(options: Any):
    answer = stream_text(ScriptedModel(BROKEN_TRY, saying("right")), prompt="Hi", stream_retries=1)
    body = await Connection(answer, **options).run()
    assert b"wrong" in body
    assert b"right" not in body


TEXT: dict[str, Any] = {"wire_format": "text-stream"}


async def test_text_stream_that_fails_before_its_first_byte_is_an_error_status():
    connection = Connection(stream_text(ScriptedModel([OVERLOADED]), prompt="Hi"), **TEXT)
    assert json.loads(await connection.run())["detail"].startswith("The model's answer broke off. Try again. (error ")
    assert connection.messages[0]["status"] == 500


async def test_text_stream_that_fails_later_breaks_off():
    connection = Connection(stream_text(ScriptedModel(BROKEN_TRY), prompt="Hi"), **TEXT)
    with pytest.raises(AnswerFailedError):
        await connection.run()
    assert connection.body == b"wrong"
    assert connection.messages[0]["status"] == 200
    assert connection.messages[-1]["more_body"] is True


async def test_kept_text_stream_that_fails_breaks_off():
    runs = RunService(MemoryLog())
    connection = Connection(stream_text(ScriptedModel(BROKEN_TRY), prompt="Hi"), runs=runs, chat_id="c", **TEXT)
    with pytest.raises(AnswerFailedError):
        await connection.run()
    assert connection.body == b"wrong"
    await runs.shutdown()


async def test_text_stream_without_text_is_an_empty_success():
    connection = Connection(stream_text(ScriptedModel(saying()), prompt="Hi"), **TEXT)
    assert await connection.run() == b""
    assert connection.messages[0]["status"] == 200


@pytest.mark.parametrize("wire_format", ["text-stream", "ui-message-stream"])
async def test_answer_whose_end_fails_ends_its_response(wire_format: str, monkeypatch: pytest.MonkeyPatch):
    """A bug of this package must not leave a reader waiting."""
    answer = stream_text(ScriptedModel(saying("Hi")), prompt="Hi")
    monkeypatch.setattr(answer, "_last_parts", None)
    connection = Connection(answer, wire_format=wire_format)
    with pytest.raises(TypeError):
        await connection.run()
    assert b"Hi" in connection.body


async def test_answer_that_nobody_is_shown_forgets_a_try_that_failed():
    answer = stream_text(ScriptedModel(BROKEN_TRY, saying("right")), prompt="Hi", stream_retries=1)
    assert await answer.text == "right"


async def test_source_that_breaks_ends_in_an_error():
    class Breaking(Turn):
        def script(self) -> Script[None]:
            self.parts.append(Start())
            yield Call(print)
            raise ZeroDivisionError

        def outcome(self) -> Outcome:
            return Outcome()

    class Broken(Answer):
        def make_turn(self) -> Turn:
            return Breaking()

    heard: list[FinishEvent] = []
    answer = Broken(Callbacks(on_finish=heard.append, on_error=lambda error: "Sorry."))
    body = (await Connection(answer).run()).decode()
    assert types(body) == ["start", "error"]
    assert chunks(body)[-1]["errorText"] == "Sorry."
    assert isinstance(heard[0].error, ZeroDivisionError)


async def test_illegal_part_is_an_exception_in_strict_mode_only():
    async def illegal() -> AsyncIterator[Part]:
        yield TextEnd("never begun")

    with pytest.raises(StreamProtocolError):
        await Connection(ui_message_stream(illegal()), strict=True).run()
    assert types((await Connection(ui_message_stream(illegal())).run()).decode()) == ["start", "finish"]


async def test_answer_that_was_read_before_is_refused_before_the_first_byte():
    _, answer = spoken(saying("Hi"))
    await answer.text
    connection = Connection(answer)
    with pytest.raises(ConfigurationError, match="can be read once"):
        await connection.run()
    assert connection.messages == []


async def test_refusal_is_json():
    _, answer = spoken(saying("Hi"))
    connection = Connection(answer)
    connection.headers = [(b"x-usechat-sdk", b"nothing")]
    await connection.run()
    assert connection.messages[0]["status"] == 400
    assert "detail" in json.loads(connection.body)


def requests_held() -> list[Any]:
    gc.collect()
    return [each for each in gc.get_objects() if isinstance(each, ui.ChatRequest | ui.UIMessage)]


def asked(hold: Hold, **options: Any) -> Connection:
    chat = ui.parse_chat_request(json.dumps(BODY).encode())
    answer = stream_text(ScriptedModel([[TextStart("0")], hold]), messages=chat.messages)
    return Connection(answer, chat=chat, **options)


@pytest.mark.parametrize("is_run", [False, True])
async def test_open_answer_holds_nothing_of_its_request(is_run: bool):
    before, hold, runs = requests_held(), Hold(), RunService(MemoryLog(), shutdown_timeout=0)
    connection = asked(hold, runs=runs if is_run else None)
    connection.start()
    await hold.reached.wait()
    await connection.until(b"text-start")

    assert [each for each in requests_held() if not any(each is other for other in before)] == []
    connection.gone.set()
    assert connection.task is not None
    await connection.task
    await runs.shutdown()


async def test_answer_whose_head_cannot_be_sent_is_told_as_stopped():
    heard: list[FinishEvent] = []
    _, answer = spoken(saying("Hi"), heard=heard)

    async def send(_: Message) -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await Connection(answer).run(send=send)
    assert [event.is_aborted for event in heard] == [True]
