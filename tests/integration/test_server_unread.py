"""Clients that do not read what they have asked for: the server ends their connections, and nobody else's."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest
from websockets.sync.client import connect

from tests.integration.loaded_server import ANY_FILES, LARGE, LARGE_DELTAS, chat, ended, serving_site
from tests.integration.test_server_socket import KEY, frame, receive_to_end
from tests.support.load_clients import Site, ask, look, open_socket, until_idle
from tests.support.scripted_upstream import ScriptedUpstream
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        running.will(LARGE)
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[Site]:
    """A server that waits a second for its clients."""
    with serving_site(tmp_path_factory.mktemp("unread"), upstream, USECHAT_SEND_SECONDS="1") as running:
        yield running


async def read_rest(connection: socket.socket) -> bytes:
    """Return what the system still has for a client."""
    loop = asyncio.get_running_loop()
    received = b""
    async with asyncio.timeout(PATIENCE):
        with suppress(ConnectionResetError):
            while data := await loop.sock_recv(connection, 2**16):
                received += data
    return received


async def test_reader_that_never_reads_is_ended_and_its_answer_is_whole(
    site: Site, opened: list[socket.socket]
) -> None:
    deaf = await open_socket(site, chat(site, "deaf", "10.5.0.1"), room=4096)
    opened.append(deaf)

    async def has_begun() -> bool:
        return (await look(site)).readers == 1

    await eventually(has_begun)
    await until_idle(site, ANY_FILES)
    # The system has kept little of it.
    assert len(await read_rest(deaf)) < 2**20
    # Who comes back reads it from the log.
    again = await ask(site, site.request("GET", "/api/chat/deaf/stream?cursor=0"))
    await ended(again)
    assert again.received.count(b'"text-delta"') == LARGE_DELTAS


async def test_reader_that_takes_its_time_gets_all(site: Site, opened: list[socket.socket]) -> None:
    steady = await open_socket(site, chat(site, "steady", "10.5.0.2"), room=4096)
    opened.append(steady)
    loop = asyncio.get_running_loop()
    received = bytearray()
    async with asyncio.timeout(PATIENCE):
        while data := await loop.sock_recv(steady, 2**17):
            received += data
            if len(received) < 2**20:
                # Two of the seconds that it has for each 64 KB, in all.
                await asyncio.sleep(0.01)
    assert received.count(b'"text-delta"') == LARGE_DELTAS
    assert b"data: [DONE]" in received[-64:]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems wait for ever for what they have taken")
async def test_answer_that_the_system_has_taken_keeps_no_connection_open(
    site: Site, opened: list[socket.socket]
) -> None:
    idle = await until_idle(site, ANY_FILES)
    request = site.request("GET", "/openapi.json").replace(b"connection: close\r\n", b"")
    opened += [await open_socket(site, request * 8, room=4096) for _ in range(10)]
    await eventually(lambda: site.files() > idle.files)
    # An idle connection would be kept for 75 s.
    await until_idle(site, idle.files)


async def test_deaf_client_of_the_socket_is_ended(site: Site) -> None:
    heard = await asyncio.to_thread(read_socket, site)
    assert json.dumps(heard).count('"text-delta"') == LARGE_DELTAS
    idle = await until_idle(site, ANY_FILES)
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect(("127.0.0.1", site.port))

    def open_and_ask() -> None:
        # Its thread reads until this many frames wait.
        url = f"ws://127.0.0.1:{site.port}/api/chat/ws"
        with connect(url, sock=plain, additional_headers=KEY, max_queue=1, close_timeout=0.1) as client:
            client.send(frame("r", {}, "deaf-socket"))
            client.recv(timeout=PATIENCE)
            asyncio.run(until_idle(site, idle.files))

    await asyncio.to_thread(open_and_ask)


def read_socket(site: Site) -> list[object]:
    """Ask over the WebSocket, and read the answer."""
    url = f"ws://127.0.0.1:{site.port}/api/chat/ws"
    with connect(url, additional_headers=KEY, max_size=None) as client:
        client.send(frame("r", {}, "heard-socket"))
        return [*receive_to_end(client)]
