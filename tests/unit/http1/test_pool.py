"""The client's connections over real sockets, on both event loops that people use."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import server_tls, write_certificate
from tests.support.waiting import PATIENCE, eventually
from tests.unit.http1.servers import (
    CHUNKED,
    OK,
    WHOLE,
    Handler,
    answering,
    deaf,
    hung_up,
    reset,
    serving,
    silent,
)
from usechat.http1 import (
    ConnectError,
    Http1Error,
    Http1TimeoutError,
    Limits,
    LocalProtocolError,
    Origin,
    Pool,
    ReadError,
    RemoteProtocolError,
    Request,
    Response,
    read_at_most,
)

pytestmark = pytest.mark.anyio

IN_TIME = Limits(5, 5, 5)


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


@asynccontextmanager
async def opened_pool(**options: Any) -> AsyncGenerator[Pool]:
    pool = Pool(**options)
    async with aclosing(pool):
        yield pool


def get(origin: Origin, *headers: tuple[bytes, bytes], method: bytes = b"GET", content: bytes = b"") -> Request:
    return Request(origin, method, b"/", [(b"host", origin.host.encode()), *headers], content)


async def read(response: Response) -> bytes:
    async with aclosing(response.body):
        return b"".join([data async for data in response.body])


async def fetch(pool: Pool, origin: Origin, *headers: tuple[bytes, bytes]) -> bytes:
    return await read(await pool.send(get(origin, *headers), IN_TIME))


# Bodies


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(OK + b"content-length: 5\r\n\r\nhello", b"hello", id="length"),
        pytest.param(CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello", id="chunks"),
        pytest.param(OK + b"\r\nhello", b"hello", id="until-the-connection-ends"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", b"", id="none"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"content-length: 5\r\n\r\nhello", b"hello", id="continue"
        ),
    ],
)
async def test_body_is_read_whatever_ends_it(answer: bytes, expected: bytes):
    async with serving(answering(answer, hangs_up=True)) as origin, opened_pool() as pool:
        assert await fetch(pool, origin) == expected


async def test_answer_to_head_is_not_waited_for():
    async with serving(answering(OK + b"Content-Length: 5\r\n\r\n")) as origin, opened_pool() as pool:
        response = await pool.send(get(origin, method=b"HEAD"), IN_TIME)
        assert (response.status, response.header(b"content-length"), response.header(b"x")) == (200, b"5", b"")
        assert await read(response) == b""


# Connections


async def count_connections(*answers: bytes, requests: int = 2, headers: tuple[tuple[bytes, bytes], ...] = ()) -> int:
    count = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await answering(*answers)(reader, writer)

    async with serving(handle) as origin, opened_pool() as pool:
        for _ in range(requests):
            assert await fetch(pool, origin, *headers) == b"ok"
    return count


async def test_connection_serves_one_request_after_the_other():
    assert await count_connections(WHOLE, WHOLE, WHOLE, requests=3) == 1


@pytest.mark.parametrize(
    ("answer", "headers"),
    [
        pytest.param(OK + b"connection: close\r\ncontent-length: 2\r\n\r\nok", (), id="server-says-so"),
        pytest.param(WHOLE, ((b"Connection", b"Close"),), id="client-says-so"),
        pytest.param(WHOLE + WHOLE, (), id="more-came-than-was-asked-for"),
    ],
)
async def test_connection_serves_one_request_alone(answer: bytes, headers: tuple[tuple[bytes, bytes], ...]):
    assert await count_connections(answer, headers=headers) == 2


async def test_connection_that_the_server_has_closed_is_not_used_again():
    async with serving(answering(WHOLE, hangs_up=True)) as origin, opened_pool() as pool:
        for _ in range(3):
            assert await fetch(pool, origin) == b"ok"
            await eventually(lambda: not pool.connections)


async def test_connection_that_speaks_unasked_is_closed():
    speak = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(WHOLE, hangs_up=True)(reader, writer)
        await speak.wait()
        writer.write(WHOLE)
        await reader.read()

    async with serving(handle) as origin, opened_pool() as pool:
        await fetch(pool, origin)
        assert len(pool.connections) == 1
        speak.set()
        await eventually(lambda: not pool.connections)


async def test_idle_connection_is_closed_in_time():
    closed = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(WHOLE)(reader, writer)
        closed.set()

    async with serving(handle) as origin, opened_pool(idle_seconds=0.01) as pool:
        await fetch(pool, origin)
        await asyncio.wait_for(closed.wait(), PATIENCE)


async def test_only_so_many_connections_are_kept():
    async with serving(answering(WHOLE)) as origin, opened_pool(max_idle=1) as pool:
        await asyncio.gather(fetch(pool, origin), fetch(pool, origin), fetch(pool, origin))
        await eventually(lambda: len(pool.connections) == 1)


async def test_closing_the_pool_ends_what_is_being_read():
    async with serving(answering(CHUNKED + b"2\r\nhe\r\n")) as origin, opened_pool() as pool:
        response = await pool.send(get(origin), IN_TIME)
        assert await response.body.read() == b"he"
        await pool.aclose()
        with pytest.raises(RemoteProtocolError):
            await response.body.read()
        await response.body.aclose()


async def test_connection_that_is_being_dropped_is_not_used_again():
    async with serving(answering(WHOLE)) as origin, opened_pool() as pool:
        await fetch(pool, origin)
        (first,) = pool.connections
        first.abort()
        assert await fetch(pool, origin) == b"ok"
        await eventually(lambda: first not in pool.connections)
        assert len(pool.connections) == 1


async def test_body_that_is_closed_twice_gives_its_connection_back_once():
    async with serving(answering(WHOLE, WHOLE)) as origin, opened_pool() as pool:
        response = await pool.send(get(origin), IN_TIME)
        assert await response.body.read() == b"ok"
        await response.body.aclose()
        await response.body.aclose()
        assert [await fetch(pool, origin), len(pool.connections)] == [b"ok", 1]


async def test_body_that_is_read_in_part_costs_its_connection():
    async with serving(answering(OK + b"content-length: 9\r\n\r\nhello")) as origin, opened_pool() as pool:
        response = await pool.send(get(origin), IN_TIME)
        assert await read_at_most(response.body, 3) == b"hel"
        await response.body.aclose()
        await eventually(lambda: not pool.connections)


async def test_system_without_all_socket_options_will_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(socket, "TCP_KEEPIDLE", raising=False)
    async with serving(answering(WHOLE)) as origin, opened_pool() as pool:
        assert await read(await pool.send(get(origin))) == b"ok"


# Flow


async def test_reader_may_take_longer_than_the_server():
    goes_on = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + b"2\r\nhe\r\n")
        await goes_on.wait()
        writer.write(b"3\r\nllo\r\n0\r\n\r\n")

    loop = asyncio.get_running_loop()
    async with serving(handle) as origin, opened_pool() as pool:
        response = await pool.send(get(origin), Limits(5, 0.05, 5))
        assert await response.body.read() == b"he"
        silent_until = loop.time() + 0.1
        await eventually(lambda: loop.time() > silent_until)
        goes_on.set()
        assert await read(response) == b"llo"


async def test_slow_reader_holds_the_sender_up_and_gets_everything():
    total = 16 * 2**20

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"content-length: %d\r\n\r\n" % total)
        for _ in range(total // 2**16):
            writer.write(bytes(2**16))
            await writer.drain()
        await reader.read()

    async with serving(handle) as origin, opened_pool() as pool:
        response = await pool.send(get(origin), IN_TIME)
        (connection,) = pool.connections
        await eventually(lambda: connection.is_held)
        assert connection.unread < 2**20
        assert sum([len(data) async for data in response.body]) == total
        assert not connection.is_held
        await response.body.aclose()
        await eventually(lambda: len(pool.connections) <= 1)


async def test_large_request_is_sent_whole():
    received = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 8388608\r\n" in head
        received = len(await reader.readexactly(8 * 2**20))
        writer.write(WHOLE)

    async with serving(handle) as origin, opened_pool() as pool:
        request = get(origin, method=b"POST", content=bytes(8 * 2**20))
        assert await read(await pool.send(request, IN_TIME)) == b"ok"
    assert received == 8 * 2**20


async def test_request_that_is_refused_before_it_is_read_says_so():
    refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno"
    async with serving(answering(refusal)) as origin, opened_pool() as pool:
        response = await pool.send(get(origin, method=b"POST", content=bytes(64 * 2**20)), IN_TIME)
        assert response.status == 413
        await response.body.aclose()


# Failures


async def endless_framing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(CHUNKED + b"1;")
    while True:
        writer.write(b"x" * 2**16)
        await writer.drain()


@pytest.mark.parametrize(
    ("handler", "limits", "expected"),
    [
        pytest.param(silent, Limits(5, 0.05, 5), Http1TimeoutError, id="no-answer-in-time"),
        pytest.param(
            answering(CHUNKED + b"2\r\nhe\r\n"), Limits(5, 0.05, 5), Http1TimeoutError, id="answer-falls-silent"
        ),
        pytest.param(deaf, Limits(5, 5, 0.05), Http1TimeoutError, id="request-is-not-read"),
        pytest.param(hung_up, IN_TIME, RemoteProtocolError, id="no-answer"),
        pytest.param(answering(b"SSH-2.0\r\n"), IN_TIME, RemoteProtocolError, id="other-protocol"),
        pytest.param(
            answering(CHUNKED + b"10\r\nhel", hangs_up=True), IN_TIME, RemoteProtocolError, id="cut-in-mid-chunk"
        ),
        pytest.param(endless_framing, IN_TIME, RemoteProtocolError, id="endless-framing"),
        pytest.param(reset, IN_TIME, ReadError, id="reset"),
    ],
)
async def test_failure_says_what_it_is(handler: Handler, limits: Limits, expected: type[Http1Error]):
    async with serving(handler) as origin, opened_pool() as pool:
        content = bytes(2**26 if handler is deaf else 2**10)
        with pytest.raises(expected):
            await read(await pool.send(get(origin, method=b"POST", content=content), limits))
        await eventually(lambda: not pool.connections)


async def test_what_came_before_a_cut_is_read_first():
    cut = answering(CHUNKED + b"2\r\nhe\r\n9\r\nl", hangs_up=True)
    async with serving(cut) as origin, opened_pool() as pool:
        response = await pool.send(get(origin), IN_TIME)
        received = b""
        while len(received) < 3:
            received += await response.body.read()
        with pytest.raises(RemoteProtocolError):
            await response.body.read()
        await response.body.aclose()
    assert received == b"hel"


@pytest.mark.parametrize(
    ("origin", "headers", "expected"),
    [
        pytest.param(Origin("http", "127.0.0.1", 1), (), ConnectError, id="nobody-listens"),
        pytest.param(Origin("http", f"{'x' * 80}.test", 80), (), ConnectError, id="no-such-name"),
        pytest.param(Origin("http", "127.0.0.1", 1), ((b"x", b"1\r\ny: 2"),), LocalProtocolError, id="smuggled-header"),
    ],
)
async def test_request_that_cannot_be_sent_says_why(
    origin: Origin, headers: tuple[tuple[bytes, bytes], ...], expected: type[Http1Error]
):
    async with opened_pool() as pool:
        with pytest.raises(expected):
            await pool.send(get(origin, *headers), IN_TIME)


async def test_connection_that_does_not_come_about_in_time_says_so():
    # It is accepted, but the server does not answer TLS.
    async with serving(deaf) as origin, opened_pool() as pool:
        with pytest.raises(Http1TimeoutError):
            await pool.send(get(origin._replace(scheme="https")), Limits(0.05, 5, 5))


async def test_name_with_several_addresses_is_reached_at_the_one_that_answers():
    async with serving(answering(WHOLE)) as origin, opened_pool() as pool:
        assert await fetch(pool, origin._replace(host="localhost")) == b"ok"


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_server_is_verified_over_tls(is_trusted: bool, tmp_path: Path):
    certificate = write_certificate(tmp_path)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(WHOLE, hangs_up=True)(reader, writer)
        writer.close()

    def new_tls() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(certificate))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=server_tls(certificate))
    origin = Origin("https", "127.0.0.1", server.sockets[0].getsockname()[1])
    try:
        async with opened_pool(**({"new_tls": new_tls} if is_trusted else {})) as pool:
            if is_trusted:
                assert await fetch(pool, origin) == b"ok"
            else:
                with pytest.raises(ConnectError, match="certificate verify failed"):
                    await fetch(pool, origin)
    finally:
        server.close()
