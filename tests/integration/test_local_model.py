"""The embedded model itself: weights, llama.cpp and its HTTP server, nothing replayed."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from usechat.errors import ConfigurationError, ProviderConnectionError, RequestError
from usechat.messages.model import AssistantMessage, FileContent, ModelMessage, TextContent, UserMessage
from usechat.models.base import FunctionTool, ModelCall, ToolDefinition
from usechat.models.embedded import history
from usechat.models.embedded import server as embedded
from usechat.models.embedded.model import LocalModel
from usechat.models.embedded.server import EmbeddedServer, embedded_server, launch, local_available
from usechat.parts import Custom, ModelFinish, ModelPart, TextDelta, TextEnd, TextStart

UNAVAILABLE = local_available()

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(UNAVAILABLE is not None, reason=f"the embedded model cannot run here: {UNAVAILABLE}"),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def model() -> LocalModel:
    return LocalModel()


def user(text: str) -> UserMessage:
    return UserMessage((TextContent(text),))


def assistant(text: str) -> AssistantMessage:
    return AssistantMessage((TextContent(text),))


def call(
    *messages: ModelMessage,
    max_output_tokens: int = 24,
    system: str | None = None,
    tools: Sequence[ToolDefinition] = (),
) -> ModelCall:
    return ModelCall(
        messages=messages, max_output_tokens=max_output_tokens, system=system, tools=tools, temperature=0.0
    )


async def batches_of(model: LocalModel, call: ModelCall) -> list[list[ModelPart]]:
    return [list(batch) async for batch in model.stream(call)]


async def answer(model: LocalModel, call: ModelCall) -> tuple[str, ModelFinish]:
    """The text and the end of an answer."""
    parts = [part for batch in await batches_of(model, call) for part in batch]
    finish = parts[-1]
    assert isinstance(finish, ModelFinish)
    return "".join(part.delta for part in parts if isinstance(part, TextDelta)), finish


async def test_answer_streams_in_pieces(model: LocalModel) -> None:
    batches = await batches_of(model, call(user("Count from one to ten."), system="You are brief."))
    parts = [part for batch in batches for part in batch]
    deltas = [part for part in parts if isinstance(part, TextDelta)]
    assert len(batches) > 3
    assert len(deltas) > 3
    others = [type(part) for part in parts if not isinstance(part, TextDelta | Custom)]
    assert others == [TextStart, TextEnd, ModelFinish]


async def test_finish_tells_usage_and_model(model: LocalModel) -> None:
    text, finish = await answer(model, call(user("Write about the sea."), max_output_tokens=8))
    assert text
    assert (finish.finish_reason.unified, finish.usage.output) == ("length", 8)
    assert (finish.usage.input or 0) > 5
    assert finish.model_id == model.model_id == "smollm2-135m-instruct"


async def test_answer_knows_the_turns_before(model: LocalModel) -> None:
    text, _ = await answer(
        model,
        call(
            user("The password is banana. Remember it."),
            assistant("The password is banana."),
            user("Say the password."),
        ),
    )
    assert "banana" in text.lower()


async def test_two_answers_stream_at_the_same_time(model: LocalModel) -> None:
    ended: list[str] = []
    first_parts: list[str] = []

    async def run(name: str) -> None:
        async for _ in model.stream(call(user(f"Tell me about {name}."), max_output_tokens=40)):
            if name not in first_parts:
                first_parts.append(name)
                assert ended == []
        ended.append(name)

    await asyncio.gather(run("rivers"), run("mountains"))
    assert sorted(first_parts) == sorted(ended) == ["mountains", "rivers"]


def worked() -> float:
    """The seconds that processors have worked for the model: those on the clock tell as much of what else they do."""
    times = Path(f"/proc/{embedded_server.process_id}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


KNOWS_WORK = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="only Linux tells how long a process worked"
)


@KNOWS_WORK
async def test_reader_that_leaves_stops_the_answer(model: LocalModel) -> None:
    # Both slots are given up in the middle of long answers: a third one has to get a slot at once.
    for _ in range(2):
        async with aclosing(model.stream(call(user("Write a long story."), max_output_tokens=1024))) as stream:
            async for batch in stream:
                if any(isinstance(part, TextDelta) for part in batch):
                    break
    before = worked()
    await answer(model, call(user("Hi"), max_output_tokens=2))
    assert worked() - before < 5


@KNOWS_WORK
async def test_reader_that_leaves_stops_the_reading_of_a_long_prompt(model: LocalModel) -> None:
    # Reading these takes two processors half a minute in all, if nobody stops it.
    for name in ("apple ", "pear "):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await answer(model, call(user(name * 2500)))
    before = worked()
    await answer(model, call(user("Hi"), max_output_tokens=2))
    assert worked() - before < 8


async def test_long_history_is_trimmed_to_what_the_model_reads(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # To read the tokens that users wait for takes a processor nine seconds.
    monkeypatch.setattr(history, "HISTORY_TOKENS", 400)
    turns = [
        message
        for number in range(80)
        for message in (user(f"Question {number}. " + "Tell me more. " * 20), assistant("It is so. " * 20))
    ]
    text, finish = await answer(model, call(*turns, user("Say hello."), max_output_tokens=4))
    assert text
    assert 250 < (finish.usage.input or 0) <= 400


async def test_message_beyond_the_model_is_a_clear_error(model: LocalModel) -> None:
    with pytest.raises(RequestError, match="too long for the local model") as caught:
        await answer(model, call(user("word " * 6000)))
    assert caught.value.status == 413


async def test_what_it_does_not_know_is_left_out_and_said_once(
    model: LocalModel, caplog: pytest.LogCaptureFixture
) -> None:
    picture = FileContent(media_type="image/png", data="iVBORw0KGgo=", filename="cat.png")
    asked = call(
        UserMessage((picture, TextContent("Say hi."))), tools=[FunctionTool(name="get_weather")], max_output_tokens=4
    )
    with caplog.at_level(logging.WARNING):
        first, _ = await answer(model, asked)
        second, _ = await answer(model, asked)
    assert first
    assert second
    assert [record.getMessage() for record in caplog.records] == [
        "The local model does not know tools; they are left out.",
        "The local model does not know files; they are left out.",
    ]


async def test_half_an_emoji_is_no_error(model: LocalModel) -> None:
    text, _ = await answer(model, call(user("Say hi \ud83d"), max_output_tokens=4))
    assert text


async def test_event_loop_goes_on_while_the_model_loads() -> None:
    server = EmbeddedServer()
    turns = 0

    async def watch() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    watching = asyncio.create_task(watch())
    try:
        await answer(LocalModel(server), call(user("Hi"), max_output_tokens=1))
    finally:
        watching.cancel()
        await asyncio.to_thread(server.stop)
    # To load takes a second and more: a loop that waited for it would have turned once or twice.
    assert turns > 10


async def test_server_that_died_is_started_again() -> None:
    server = EmbeddedServer()
    try:
        first = await asyncio.to_thread(server.start)
        process_id = server.process_id
        assert process_id is not None
        os.kill(process_id, signal.SIGKILL)
        assert await asyncio.to_thread(_ends, process_id, seconds=5)
        text, _ = await answer(LocalModel(server), call(user("Hi"), max_output_tokens=2))
        assert text
        assert await asyncio.to_thread(server.start) != first
    finally:
        await asyncio.to_thread(server.stop)


async def test_server_listens_on_loopback_and_wants_its_key() -> None:
    base_url, _ = await asyncio.to_thread(embedded_server.start)
    address = urlsplit(base_url)
    assert address.hostname == "127.0.0.1"
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    body = b'{"max_tokens":1,"messages":[{"role":"user","content":"hi"}]}'
    writer.write(
        b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert b" 401 " in status


async def test_weights_that_cannot_be_read_are_a_clear_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no weights")
    with pytest.raises(ConfigurationError, match="The local model cannot run: "):
        await asyncio.to_thread(launch, broken)


async def test_where_nobody_describes_the_processor_starting_shows_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nobody(cpuinfo: Path | None = None) -> bool:
        return False

    server = EmbeddedServer()
    monkeypatch.setattr(embedded, "embedded_server", server)
    monkeypatch.setattr(embedded, "is_processor_known", nobody)
    try:
        assert await asyncio.to_thread(local_available) is None
    finally:
        await asyncio.to_thread(server.stop)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no weights")
    monkeypatch.setattr(embedded, "weights_file", lambda: broken)
    assert "The local model cannot run: " in str(await asyncio.to_thread(local_available))


async def test_server_that_is_gone_is_a_provider_error() -> None:
    class Gone:
        def start(self) -> tuple[str, str]:
            with socket.create_server(("127.0.0.1", 0)) as closed:
                return f"http://127.0.0.1:{closed.getsockname()[1]}", "key"

    with pytest.raises(ProviderConnectionError) as caught:
        await answer(LocalModel(Gone()), call(user("Hi")))
    assert caught.value.is_retryable


PROGRAM = """
    import asyncio, os, sys
    from usechat.messages.model import TextContent, UserMessage
    from usechat.models.base import ModelCall
    from usechat.models.embedded.server import embedded_server
    from usechat.models.embedded.model import local

    async def main():
        call = ModelCall(messages=[UserMessage((TextContent("Write a long story."),))], max_output_tokens=1024)
        async for _ in local().stream(call):
            print(embedded_server.process_id, flush=True)
            HOW

    asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="only Linux lets a process wait for one that is no child")
@pytest.mark.parametrize("how", ["return", "sys.exit()", "os._exit(0)", "os.kill(os.getpid(), 9)"])
async def test_process_ends_at_once_and_leaves_nothing_behind(how: str) -> None:
    program = textwrap.dedent(PROGRAM).replace("HOW", how)
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == (-9 if "kill" in how else 0), done.stderr
    assert done.stderr == ""
    assert await asyncio.to_thread(_ends, int(done.stdout), seconds=5)


def _ends(pid: int, *, seconds: float) -> bool:
    """Whether a process that is not our child ends in time."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], seconds)[0])
    finally:
        os.close(process)
