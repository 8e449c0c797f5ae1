"""A server that is asked for more than it can hold, and by clients as no server wants them: what it counts and holds.

`make load` does the same with thousands of clients, and measures how long what takes.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.integration.loaded_server import ANY_FILES, LARGE, LARGE_DELTAS, chat, ended, serving_site
from tests.integration.running_server import serving
from tests.integration.test_server_socket import HELD
from tests.support.load_clients import (
    Answer,
    Site,
    ask,
    close_all,
    count_ended,
    look,
    open_socket,
    until_idle,
)
from tests.support.scripted_upstream import ScriptedUpstream
from tests.support.waiting import PATIENCE, eventually
from usechat.testing.replay import Reply
from usechat.testing.streams import read_events

pytestmark = pytest.mark.anyio

PLACES = 8
PLACES_EACH = 4
GREEDY = "192.0.2.7"
MIB = 2**20
FEW_FILES = 30
"""Connections to the model and to the database that are kept for a while."""
DELTAS = sum("text_delta" in event for event in read_events("text"))
MAX_GROWTH = 256 * MIB
"""Three answers of 6 MB at once, as they are made, sent and saved."""
MAX_READING = 64 * MIB
"""A hundred readers; with a copy for each it would be ten times as much."""
WAITING = 64
COUNTING_USER = """
import asyncio
from fastapi import HTTPException

passes = 0
tasks = []

async def count():
    global passes
    while True:
        passes += 1
        await asyncio.sleep(0)

async def user(connection):
    if "hold" in connection.headers:
        tasks.append(asyncio.create_task(count()))
        with open("gate") as gate:
            gate.read()
    raise HTTPException(403, str(passes))
"""
"""Refuses everybody with the number of the event loop's pass, and can hold the loop up until a pipe is closed."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[Site]:
    """A server with everything on."""
    with serving_site(
        tmp_path_factory.mktemp("load"),
        upstream,
        USECHAT_MAX_ANSWERS=str(PLACES),
        USECHAT_ANSWERS_EACH=str(PLACES_EACH),
        USECHAT_REQUESTS_PER_MINUTE="1000000",
        USECHAT_TOKENS_PER_DAY="1000000000",
        USECHAT_HEAD_SECONDS="1",
        USECHAT_BODY_SECONDS="1",
    ) as running:
        yield running


async def begin(site: Site, chat_id: str, address: str) -> Answer:
    """Ask, and wait for the first words."""
    answer = await ask(site, chat(site, chat_id, address))
    await eventually(lambda: answer.deltas > 0 or answer.over.done())
    return answer


async def read_all(site: Site, chat_id: str, address: str) -> Answer:
    answer = await ask(site, chat(site, chat_id, address))
    await ended(answer)
    return answer


def refusals(answers: list[Answer]) -> set[tuple[int, int | None]]:
    """The statuses, and when to come back. Each says in words why."""
    for answer in answers:
        assert json.loads(answer.received.partition(b"\r\n\r\n")[2])["detail"]
    return {(answer.status, answer.retry_after) for answer in answers}


async def test_full_server_refuses_the_rest_and_ends_what_it_took(site: Site, upstream: ScriptedUpstream):
    idle = await until_idle(site, ANY_FILES)
    upstream.will(HELD)
    taken = [await begin(site, f"greedy-{number}", GREEDY) for number in range(PLACES_EACH)]
    too_many = await asyncio.gather(*(read_all(site, f"greedier-{number}", GREEDY) for number in range(30)))
    assert refusals(too_many) == {(429, 2)}
    taken += [await begin(site, f"other-{number}", f"10.0.0.{number}") for number in range(PLACES - PLACES_EACH)]
    no_room = await asyncio.gather(*(read_all(site, f"late-{number}", f"10.0.1.{number}") for number in range(30)))
    assert refusals(no_room) == {(503, 2)}
    state = await look(site)
    assert (state.answers, state.readers, state.runs) == (PLACES, PLACES, PLACES)
    # A refusal costs no call of the model.
    assert len(upstream.requests) == PLACES
    for request in upstream.requests:
        request.go_on()
    await ended(*taken)
    assert all(answer.is_whole(DELTAS) for answer in taken)
    await until_idle(site, idle.files + FEW_FILES)
    upstream.will(Reply("text"))
    assert (await read_all(site, "later", GREEDY)).is_whole(DELTAS)


async def test_readers_that_do_not_read_hold_neither_places_nor_copies(
    site: Site, upstream: ScriptedUpstream, opened: list[socket.socket]
):
    idle = await until_idle(site, ANY_FILES)
    upstream.will(LARGE)
    site.forget_peak()
    deaf, again = 3, 100
    asking = [chat(site, f"deaf-{number}", f"10.1.0.{number}") for number in range(deaf)]
    opened += [await open_socket(site, request, room=4096) for request in asking]

    async def made() -> bool:
        state = await look(site)
        return (state.answers, state.readers) == (0, deaf)

    await eventually(made)
    assert site.peak() - idle.memory < MAX_GROWTH
    site.forget_peak()
    before = await look(site)
    resuming = site.request("GET", "/api/chat/deaf-0/stream?cursor=0")
    opened += [await open_socket(site, resuming, room=4096) for _ in range(again)]

    async def reading() -> bool:
        return (await look(site)).readers == deaf + again

    await eventually(reading)
    # Others have the places.
    upstream.will(Reply("text"))
    assert (await read_all(site, "beside-deaf", "10.1.1.1")).is_whole(DELTAS)
    assert site.peak() - before.memory < MAX_READING
    close_all(opened)
    await until_idle(site, idle.files + FEW_FILES)


async def test_reader_that_reads_byte_by_byte_gets_all_in_the_end(
    site: Site, upstream: ScriptedUpstream, opened: list[socket.socket]
):
    idle = await until_idle(site, ANY_FILES)
    upstream.will(LARGE)
    slow = await open_socket(site, chat(site, "slow", "10.2.0.1"), room=4096)
    opened.append(slow)
    loop = asyncio.get_running_loop()
    received = bytearray()
    async with asyncio.timeout(PATIENCE):
        for _ in range(1000):
            received += await loop.sock_recv(slow, 1)
        upstream.will(Reply("text"))
        assert (await read_all(site, "beside-slow", "10.2.0.2")).is_whole(DELTAS)
        while data := await loop.sock_recv(slow, 2**16):
            received += data
    assert received.count(b'"text-delta"') == LARGE_DELTAS
    assert b"data: [DONE]" in received[-64:]
    await until_idle(site, idle.files + FEW_FILES)


async def test_connections_that_say_nothing_whole_are_closed(
    site: Site, upstream: ScriptedUpstream, opened: list[socket.socket]
):
    idle = await until_idle(site, ANY_FILES)
    half = chat(site, "half", "10.3.0.1")[:60]
    opened += [await open_socket(site, half if number % 2 else b"") for number in range(600)]
    upstream.will(Reply("text"))
    assert (await read_all(site, "beside-half", "10.3.0.2")).is_whole(DELTAS)
    await eventually(lambda: count_ended(opened) == len(opened))
    state = await until_idle(site, idle.files + FEW_FILES)
    assert state.memory - idle.memory < MAX_GROWTH


async def test_bodies_that_trickle_are_given_up_all_at_once(site: Site, upstream: ScriptedUpstream):
    idle = await until_idle(site, ANY_FILES)
    slow = [
        await ask(site, site.request("POST", "/api/chat", b"{", address=f"10.4.0.{number}", length=100_000))
        for number in range(100)
    ]
    upstream.will(Reply("text"))
    assert (await read_all(site, "beside-slow-bodies", "10.4.1.1")).is_whole(DELTAS)
    await ended(*slow)
    assert {answer.status for answer in slow} == {408}
    await until_idle(site, idle.files + FEW_FILES)


def test_clients_that_wait_are_let_in_several_at_once(tmp_path: Path):
    # A pass over hundreds of streams takes long: with one client in each, most of them wait a second to be refused.
    (tmp_path / "my_app.py").write_text(COUNTING_USER)
    os.mkfifo(tmp_path / "gate")
    asking = b"GET /api/info HTTP/1.1\r\nhost: here\r\nconnection: close\r\n%b\r\n"
    with serving(tmp_path, USECHAT_MODEL="demo", USECHAT_USER="my_app:user") as server, ExitStack() as opened:

        def connect(request: bytes) -> socket.socket:
            address = ("127.0.0.1", server.client.base_url.port or 0)
            client = opened.enter_context(socket.create_connection(address, timeout=PATIENCE))
            client.sendall(request)
            return client

        connect(asking % b"hold: yes\r\n")
        # To open it waits for the server.
        with (tmp_path / "gate").open("w"):
            clients = [connect(asking % b"") for _ in range(WAITING)]
        answers = [b"".join(iter(lambda: client.recv(2**16), b"")) for client in clients]  # noqa: B023 - read at once
    passes = {json.loads(answer.partition(b"\r\n\r\n")[2])["detail"] for answer in answers}
    assert len(passes) <= WAITING / 4
