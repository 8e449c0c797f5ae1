"""Whatever an application's code raises or brings, its answer ends once, as clients can read, and the server goes on.

One server in a process of its own: what is raised could end it. `tests.integration.failing_values` has the table.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.integration.failing_code import CALLBACKS, ERRORS, LEFT, PLACES
from tests.integration.failing_values import CASES, VALUES
from tests.support.backend import Backend
from tests.support.pairs import share
from tests.support.waiting import PATIENCE, eventually
from usechat.failures import WORDS
from usechat.testing.client_rules import find_data_stream_refusals, find_refusals

pytestmark = pytest.mark.anyio

NEWEST = (7, 0, 173)
ROADS = ("library", "runs", "saved", "socket")
FORMATS = ("data-stream", "text-stream", "events")
FAILING = (*PLACES, *CALLBACKS)
MASKED = "An error occurred."
SECONDS = PATIENCE
"""Within which each answer ends. One that does not end never does."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    started = Backend("tests.integration.failing_app:app", upstream="", log=tmp_path_factory.mktemp("failing") / "log")
    yield started
    started.check()
    started.close()


@pytest.fixture
async def client(backend: Backend) -> AsyncIterator[httpx.AsyncClient]:
    backend.check()
    async with httpx.AsyncClient(base_url=backend.url, timeout=SECONDS, verify=False) as client:
        yield client


def body_of(chat_id: str) -> dict[str, Any]:
    question = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
    return {"id": chat_id, "trigger": "submit-message", "messages": [question]}


def chunks_of(body: bytes) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in body.decode().split("\n") if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


async def ask(client: httpx.AsyncClient, road: str, case: str, error: str) -> bytes:
    """The whole answer, as the bytes of a stream."""
    chat_id = f"{road}-{case}-{error}"
    if road == "socket":
        return await ask_by_socket(str(client.base_url).replace("http", "ws"), case, error, chat_id)
    response = await client.post(f"/{road}/{case}/{error}", json=body_of(chat_id))
    assert response.status_code == 200
    return response.content


async def ask_by_socket(url: str, case: str, error: str, chat_id: str) -> bytes:
    frame: dict[str, Any] = {"type": "send", "requestId": "a", "headers": {}, "body": {}, **body_of(chat_id)}
    events: list[bytes] = []
    async with asyncio.timeout(SECONDS), connect(f"{url}/socket/{case}/{error}") as connection:
        await connection.send(json.dumps(frame))
        while (got := json.loads(await connection.recv()))["type"] != "end":
            assert got["type"] in ("start", "chunk"), got
            if got["type"] == "chunk":
                events.append(b"data: " + json.dumps(got["chunk"]).encode() + b"\n\n")
    return b"".join([*events, b"data: [DONE]\n\n"])


def is_fixed(text: str) -> bool:
    """Whether a text is one of those that are told of failures, and nothing of the failure's own."""
    return re.sub(r" \(error [0-9a-f]{8}\)$", "", text) in {MASKED, *WORDS.values()}


async def check_end(client: httpx.AsyncClient, road: str, case: str, error: str) -> None:
    """Ask, and hold the answer and all that is told of it against the table."""
    outcome, _ = CASES[case]
    body = await ask(client, road, case, error)
    where = f"{road}/{case}/{error}: {body.decode()}"
    chunks = chunks_of(body)
    kinds = [chunk["type"] for chunk in chunks]
    assert find_refusals(body, NEWEST) == [], where
    assert kinds.count("error") == (outcome == "error"), where
    assert "tool-output-error" in kinds or "tool-input-error" in kinds or outcome != "tool", where
    assert "secret" not in body.decode() or outcome == "tool", where
    assert all(is_fixed(chunk["errorText"]) for chunk in chunks if chunk["type"] == "error"), where
    text = "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")
    assert text == {"tool": "after", "whole": "no JSON" if case == "repair-text" else "Hello"}.get(outcome, text), where

    # The last frames come after the end was told.
    heard = (await client.get(f"/heard/{road}/{case}/{error}")).json()
    assert heard["ends"] == 1, where
    if outcome == "error":
        assert heard["error"] is not None, where
    if road == "saved":
        saved = (await client.get(f"/saved/{road}-{case}-{error}")).json()
        assert (saved["is_answering"], saved["ends"]) == (False, 1), where
        texts = [part.get("text", "") for message in saved["messages"][1:] for part in message["parts"]]
        assert "".join(texts) == text, where


async def check_nothing_is_left(client: httpx.AsyncClient, backend: Backend) -> None:
    async def is_quiet() -> bool:
        return (await client.get("/tasks")).json() == []

    await eventually(is_quiet)
    backend.check()


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("place", FAILING)
async def test_answer_ends_whatever_is_raised(
    place: str, road: str, client: httpx.AsyncClient, backend: Backend, is_thorough: bool
):
    async with asyncio.TaskGroup() as asking:
        for error in share(ERRORS, FAILING.index(place), ROADS.index(road), is_thorough=is_thorough):
            asking.create_task(check_end(client, road, place, error))
    await check_nothing_is_left(client, backend)


@pytest.mark.parametrize("road", ROADS)
async def test_answer_ends_whatever_value_is_brought(road: str, client: httpx.AsyncClient, backend: Backend):
    for case in VALUES:
        await check_end(client, road, case, "-")
    await check_nothing_is_left(client, backend)


@pytest.mark.parametrize("road", ROADS[:3])
async def test_server_goes_on_when_readers_leave_what_fails(
    road: str, client: httpx.AsyncClient, backend: Backend, is_thorough: bool
):
    async def is_told(place: str, error: str) -> bool:
        return (await client.get(f"/heard/{road}/{place}/{error}")).json()["ends"] == 1

    async def leave(place: str, error: str) -> None:
        body = body_of(f"{road}-{place}-{error}")
        async with client.stream("POST", f"/{road}/{place}/{error}", json=body) as response:
            async for piece in response.aiter_bytes():
                # Nothing of an answer is sent before `on_part` has seen it.
                if b"start" in piece or place == "left-on-part":
                    break
        await eventually(lambda: is_told(place, error), within=SECONDS)

    for number, place in enumerate(LEFT):
        is_only_here = place == "on-part"
        if is_only_here and road != "library":
            # A run does without it when it has not returned for half a minute.
            continue
        async with asyncio.TaskGroup() as leaving:
            for error in share(ERRORS, number, ROADS.index(road), is_thorough=is_thorough or is_only_here):
                leaving.create_task(leave(f"left-{place}", error))
        backend.check()
    await check_nothing_is_left(client, backend)


async def read_body(client: httpx.AsyncClient, path: str) -> bytes | None:
    """Return a body; None when it was refused or broke off."""
    try:
        response = await client.post(path, json=body_of("c"))
    except httpx.RemoteProtocolError:
        return None
    return response.content if response.status_code == 200 else None


@pytest.mark.parametrize("wire_format", FORMATS)
async def test_answer_ends_in_every_format(
    wire_format: str, client: httpx.AsyncClient, backend: Backend, is_thorough: bool
):
    async def check(case: str, error: str) -> None:
        body = await read_body(client, f"/{wire_format}/{case}/{error}")
        heard = (await client.get(f"/heard/{wire_format}/{case}/{error}")).json()
        assert heard["ends"] == 1, (case, error)
        # Text alone has no other way to say that the answer failed. What is repaired is whole text for the client.
        has_failed = heard["error"] is not None and case != "repair-text"
        assert (body is None) == (wire_format == "text-stream" and has_failed), (case, error)
        if body is None:
            return
        if wire_format == "data-stream":
            assert find_data_stream_refusals(body) == [], (case, error, body)
            assert (b"\n3:" in b"\n" + body) or CASES[case][0] == "whole", (case, error, body)
        elif wire_format == "events":
            assert body.count(b'"done"') + body.count(b'"error"') == 1, (case, error, body)

    for number, case in enumerate(FAILING):
        async with asyncio.TaskGroup() as asking:
            for error in share(ERRORS, number, FORMATS.index(wire_format), is_thorough=is_thorough):
                asking.create_task(check(case, error))
    for case in VALUES:
        await check(case, "-")
    await check_nothing_is_left(client, backend)


STORE_CALLS = {"maybe_load_chat": 500, "begin_turn": 500, "finish_turn": 200}


@pytest.mark.parametrize(("method", "status"), STORE_CALLS.items())
async def test_chat_is_free_again_whatever_its_store_raises(
    method: str, status: int, client: httpx.AsyncClient, backend: Backend
):
    async def check(error: str) -> None:
        chat_id = f"stores-{method}-{error}"
        # uvicorn closes a connection on which an application has failed before its first byte.
        async with httpx.AsyncClient(base_url=backend.url, timeout=SECONDS, verify=False) as once:
            response = await once.post(f"/stores/{method}/{error}", json=body_of(chat_id))
        assert response.status_code == status
        if status == 200:
            assert find_refusals(response.content, NEWEST) == []
            assert (await client.get(f"/heard/stores/{method}/{error}")).json()["ends"] == 1

        async def is_free() -> bool:
            saved = (await client.get(f"/saved/{chat_id}")).json()
            texts = [part.get("text") for message in saved.get("messages", ()) for part in message["parts"]]
            return saved == {"missing": "missing"} or (not saved["is_answering"] and texts == ["Hi", None, "Hello"])

        # What could not be saved is tried again after a second.
        await eventually(is_free, within=SECONDS)

    async with asyncio.TaskGroup() as asking:
        for error in ERRORS:
            asking.create_task(check(error))
    await check_nothing_is_left(client, backend)


NAMED = {
    "number-in-text": "TextDelta.delta must be str, not int",
    "number-written": "TextDelta.delta must be str, not int",
    "delta-of-writer": "TextDelta.delta must be str, not int",
    "delta-of-transform": "TextDelta.delta must be str, not int",
    "delta-of-model": "TextDelta.delta must be str, not int",
    "data-of-iterator": "Data.data holds what JSON cannot",
    "no-part-of-writer": "int is no part of an answer",
    "batch-of-transform": "a transform must yield lists of parts, not int",
    "batch-of-model": "a model's stream must yield lists of parts, not TextDelta",
}


@pytest.mark.parametrize(("case", "text"), NAMED.items())
async def test_wrong_value_is_named_to_the_developer(case: str, text: str, client: httpx.AsyncClient, backend: Backend):
    printed = len(backend.output())
    await ask(client, "library", case, "named")
    heard = (await client.get(f"/heard/library/{case}/named")).json()
    assert (heard["error"], heard["errors"]) == ("InvalidPartError", ["InvalidPartError"])
    assert text in backend.output()[printed:]


@pytest.mark.parametrize("error", ["PanicError", "SystemExit", "BaseExceptionGroup"])
async def test_callbacks_get_what_was_raised_itself(error: str, client: httpx.AsyncClient):
    for case in ("writer", "iterator-middle", "model-middle", "transform", "prepare-step"):
        await ask(client, "library", case, error)
        heard = (await client.get(f"/heard/library/{case}/{error}")).json()
        assert (heard["error"], set(heard["errors"])) == (error, {error})


@pytest.mark.parametrize("error", ERRORS)
async def test_handler_of_a_socket_that_raises_is_refused(error: str, client: httpx.AsyncClient, backend: Backend):
    frame: dict[str, Any] = {"type": "send", "requestId": "a", "headers": {}, "body": {}, **body_of("c")}
    url = backend.url.replace("http", "ws")
    async with asyncio.timeout(SECONDS), connect(f"{url}/handler/{error}") as connection:
        await connection.send(json.dumps(frame))
        refused = json.loads(await connection.recv())
    assert (refused["type"], refused["errorText"]) == ("error", MASKED)
    await check_nothing_is_left(client, backend)


async def begin_to_read(client: httpx.AsyncClient, path: str, chat_id: str, until: bytes) -> None:
    """Read until this came, and go on until the connection is cut."""
    seen = b""
    reached = asyncio.Event()

    async def read() -> None:
        nonlocal seen
        async with client.stream("POST", path, json=body_of(chat_id)) as response:
            async for piece in response.aiter_bytes():
                seen += piece
                if until in seen:
                    reached.set()

    reading = asyncio.create_task(read())
    READING.append(reading)
    await asyncio.wait_for(reached.wait(), SECONDS)


READING: list[asyncio.Task[None]] = []

HELD: Sequence[tuple[str, bytes]] = [
    ("/held", b'"lo"'),
    ("/held?road=runs", b'"lo"'),
    ("/held?road=saved", b'"lo"'),
    ("/held?callback=1", b'"Hello"'),
    ("/held?callback=1&road=saved", b'"Hello"'),
]


async def test_signal_ends_a_server_with_open_answers(tmp_path_factory: pytest.TempPathFactory):
    server = Backend("tests.integration.failing_app:app", upstream="", log=tmp_path_factory.mktemp("signal") / "log")
    try:
        async with httpx.AsyncClient(base_url=server.url, timeout=SECONDS) as client:
            for number, (path, until) in enumerate(HELD):
                await begin_to_read(client, path, f"held-{number}", until)
            await asyncio.gather(*(ask(client, "library", case, "-") for case in ("none-last", "delta-of-writer")))
            await asyncio.to_thread(server.terminate, SECONDS)
            await asyncio.gather(*READING, return_exceptions=True)
    finally:
        server.close()
