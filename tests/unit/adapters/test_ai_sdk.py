"""Answers of another backend that speaks the AI SDK's protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from tests.unit.adapters.answers import answered, parts_of, texts_of
from usechat import stream_text, tool
from usechat.adapters import from_ai_sdk
from usechat.answers.stop import step_count_is
from usechat.errors import DecodeError, ProviderStreamError
from usechat.parts import FinishReason
from usechat.testing.models import ScriptedModel, calling_tool, saying

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@tool
def get_tide(port: str) -> dict[str, int]:
    """The tide."""
    return {"metres": 3}


@tool(needs_approval=True)
def sail(port: str) -> str:
    """Sail."""
    return "sailed"


async def sent(sdk: str, *steps: Any) -> bytes:
    """The body of another backend's answer."""
    answer = stream_text(
        ScriptedModel(*steps), prompt="The tide?", tools=[get_tide, sail], stop_when=step_count_is(2), max_retries=0
    )
    _, _, body = await answer.stream(sdk=sdk)
    return b"".join([piece async for piece in body])


async def pieces(body: bytes, size: int = 7) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


TIDE = (calling_tool("get_tide", {"port": "Whitby"}), saying("Three ", "metres."))


@pytest.mark.parametrize("sdk", ["4", "5", "6", "7"])
async def test_answer_of_any_major_is_sent_in_every_major(sdk: str):
    body = await sent(sdk, *TIDE)
    event = await answered(lambda: from_ai_sdk(pieces(body), data_stream=sdk == "4"))
    assert event.error is None
    assert texts_of(event) == ["Three metres."]
    [tide] = parts_of(event, "tool-get_tide")
    assert (tide["state"], tide["input"], tide["output"]) == ("output-available", {"port": "Whitby"}, {"metres": 3})
    assert event.finish_reason == FinishReason("stop")


async def test_approval_is_passed_on():
    body = await sent("7", calling_tool("sail", {"port": "Whitby"}))
    event = await answered(lambda: from_ai_sdk(pieces(body)))
    [part] = parts_of(event, "tool-sail")
    assert part["state"] == "approval-requested"


async def test_error_of_the_other_backend_is_the_answers_error():
    body = await sent("7", [*saying("Thr")[:2], RuntimeError("secret")])
    # Its step is never closed.
    event = await answered(lambda: from_ai_sdk(pieces(body)), strict=False)
    assert event.error is not None
    assert "secret" not in str(event.error)
    assert texts_of(event) == ["Thr"]


async def read(bodies: Iterable[bytes | str]) -> list[Any]:
    async def stream() -> AsyncIterator[bytes | str]:
        for body in bodies:
            yield body

    return [part async for part in from_ai_sdk(stream())]


async def test_stream_that_is_cut_is_an_error():
    body = await sent("7", *TIDE)
    with pytest.raises(ProviderStreamError, match="cut"):
        await read([body[: len(body) // 2]])


async def test_text_is_read_as_bytes_are():
    body = await sent("7", *TIDE)
    assert len(await read([body.decode()])) == len(await read([body]))


async def test_page_of_a_proxy_is_refused():
    with pytest.raises((DecodeError, ProviderStreamError)):
        await read([b"data: <html>\n\n"])
