"""The transport under the ``anthropic`` package's client, over real sockets, on both event loops that people use."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import pytest

from tests.integration.anthropic_calls import CALL, texts
from tests.support.certificates import server_tls, write_certificate
from tests.support.waiting import AT_ONCE, PATIENCE, eventually
from usechat.errors import ProviderConnectionError
from usechat.models import anthropic, anthropic_transport
from usechat.models.anthropic_transport import BODY, StreamingTransport
from usechat.testing.replay import ReplayServer, Reply

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings_of_this_machine")]

ANSWER = "High water is at 14:20 in Whitby."
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

Handler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncGenerator[str]:
    """A server that leaves everything to the handler, and hangs up when that is done."""
    failures: list[BaseException] = []
    running: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except BaseException as error:  # noqa: BLE001 - told below, where the test sees it
            failures.append(error)
        finally:
            running.discard(task)
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert not failures


def answering(*answers: bytes, hangs_up: bool = False) -> Handler:
    """One answer for each request of a connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        if not hangs_up:
            await reader.read()

    return handle


@asynccontextmanager
async def client(**options: Any) -> AsyncGenerator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=StreamingTransport(), trust_env=False, **options) as made:
        yield made


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
    async with serving(answering(answer, hangs_up=True)) as url, client() as http:
        assert (await http.get(url)).content == expected


async def test_compressed_body_is_inflated():
    packed = gzip.compress(b"hello" * 100)
    answer = OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed
    async with serving(answering(answer)) as url, client() as http:
        assert (await http.get(url)).content == b"hello" * 100


async def test_answer_to_head_is_not_waited_for():
    async with serving(answering(OK + b"content-length: 5\r\n\r\n")) as url, client() as http:
        answer = await http.head(url)
        assert (answer.headers["content-length"], answer.content) == ("5", b"")


async def test_redirect_is_followed_over_the_same_connection():
    moved = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n"
    async with serving(answering(moved, OK + b"content-length: 2\r\n\r\nok")) as url, client() as http:
        answer = await http.get(url, follow_redirects=True)
        assert (answer.content, answer.url.path) == (b"ok", "/there")


async def test_request_is_sent_as_the_client_wrote_it():
    async with ReplayServer(Reply(body=b"{}")) as server, client() as http:
        await http.post(server.url + "/v1/é?a=b c", json={"a": 1}, headers={"x-mine": "a: b"})
    (request,) = server.requests
    assert (request.method, request.path, request.json) == ("POST", "/v1/%C3%A9?a=b%20c", {"a": 1})
    assert request.headers["x-mine"] == "a: b"
    assert request.headers["host"] == server.url.removeprefix("http://")


async def test_request_body_of_unknown_length_is_one_chunk():
    received = bytearray()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.readuntil(b"\r\n0\r\n\r\n"))
        writer.write(OK + b"content-length: 0\r\n\r\n")

    async def content() -> AsyncGenerator[bytes]:
        yield b"hel"
        yield b"lo"

    async with serving(handle) as url, client() as http:
        await http.post(url, content=content())
    assert received.endswith(b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n")


# Connections


async def count_connections(*answers: bytes, requests: int = 2, headers: dict[str, str] | None = None) -> int:
    count = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await answering(*answers)(reader, writer)

    async with serving(handle) as url, client() as http:
        for _ in range(requests):
            assert (await http.get(url, headers=headers)).content == b"ok"
    return count


WHOLE = OK + b"content-length: 2\r\n\r\nok"


async def test_connection_serves_one_request_after_the_other():
    assert await count_connections(WHOLE, WHOLE, WHOLE, requests=3) == 1


@pytest.mark.parametrize(
    ("answer", "headers"),
    [
        pytest.param(OK + b"connection: close\r\ncontent-length: 2\r\n\r\nok", None, id="server-says-so"),
        pytest.param(WHOLE, {"connection": "close"}, id="client-says-so"),
        pytest.param(WHOLE + WHOLE, None, id="more-came-than-was-asked-for"),
    ],
)
async def test_connection_serves_one_request_alone(answer: bytes, headers: dict[str, str] | None):
    assert await count_connections(answer, headers=headers) == 2


async def test_connection_that_the_server_has_closed_is_not_used_again():
    transport = StreamingTransport()
    async with serving(answering(WHOLE, hangs_up=True)) as url, httpx2.AsyncClient(transport=transport) as http:
        for _ in range(3):
            assert (await http.get(url)).content == b"ok"
            await eventually(lambda: not transport.connections)


async def test_connection_that_speaks_unasked_is_closed():
    speak = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(WHOLE, hangs_up=True)(reader, writer)
        await speak.wait()
        writer.write(WHOLE)
        await reader.read()

    transport = StreamingTransport()
    async with serving(handle) as url, httpx2.AsyncClient(transport=transport) as http:
        await http.get(url)
        assert len(transport.connections) == 1
        speak.set()
        await eventually(lambda: not transport.connections)


async def test_idle_connection_is_closed_in_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(anthropic_transport, "_MAX_IDLE_SECONDS", 0.01)
    closed = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(WHOLE)(reader, writer)
        closed.set()

    async with serving(handle) as url, client() as http:
        await http.get(url)
        await asyncio.wait_for(closed.wait(), PATIENCE)


async def test_only_so_many_connections_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(anthropic_transport, "_MAX_IDLE_CONNECTIONS", 1)
    transport = StreamingTransport()
    async with serving(answering(WHOLE)) as url, httpx2.AsyncClient(transport=transport) as http:
        await asyncio.gather(http.get(url), http.get(url), http.get(url))
        await eventually(lambda: len(transport.connections) == 1)


async def test_closing_the_client_ends_what_is_being_read():
    async with serving(answering(CHUNKED + b"2\r\nhe\r\n")) as url, client() as http, http.stream("GET", url) as answer:
        reads = answer.aiter_raw()
        assert await anext(reads) == b"he"
        await http.aclose()
        with pytest.raises(httpx2.RemoteProtocolError):
            await anext(reads)


async def test_connection_that_is_being_dropped_is_not_used_again():
    transport = StreamingTransport()
    async with serving(answering(WHOLE)) as url, httpx2.AsyncClient(transport=transport) as http:
        await http.get(url)
        (first,) = transport.connections
        first.abort()
        assert (await http.get(url)).content == b"ok"
        await eventually(lambda: first not in transport.connections)
        assert len(transport.connections) == 1


async def test_body_that_is_closed_twice_gives_its_connection_back_once():
    transport = StreamingTransport()
    async with serving(answering(WHOLE, WHOLE)) as url, httpx2.AsyncClient(transport=transport) as http:
        async with http.stream("GET", url) as answer:
            body = answer.extensions[BODY]
            assert await body.read() == b"ok"
            await body.aclose()
        assert [(await http.get(url)).content, len(transport.connections)] == [b"ok", 1]


async def test_system_without_all_socket_options_will_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(socket, "TCP_KEEPIDLE", raising=False)
    async with serving(answering(WHOLE)) as url, client(timeout=None) as http:
        assert (await http.get(url)).content == b"ok"


# Flow


async def test_reader_may_take_longer_than_the_server():
    goes_on = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + b"2\r\nhe\r\n")
        await goes_on.wait()
        writer.write(b"3\r\nllo\r\n0\r\n\r\n")

    loop = asyncio.get_running_loop()
    limits = httpx2.Timeout(5, read=0.05)
    async with serving(handle) as url, client(timeout=limits) as http, http.stream("GET", url) as answer:
        reads = answer.aiter_raw()
        assert await anext(reads) == b"he"
        silent_until = loop.time() + 0.1
        await eventually(lambda: loop.time() > silent_until)
        goes_on.set()
        assert await anext(reads) == b"llo"


async def test_slow_reader_holds_the_sender_up_and_gets_everything():
    total = 16 * 2**20

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"content-length: %d\r\n\r\n" % total)
        for _ in range(total // 2**16):
            writer.write(bytes(2**16))
            await writer.drain()
        await reader.read()

    transport = StreamingTransport()
    async with (
        serving(handle) as url,
        httpx2.AsyncClient(transport=transport) as http,
        http.stream("GET", url) as answer,
    ):
        (connection,) = transport.connections
        await eventually(lambda: connection.is_held)
        assert connection.unread < 2**20
        assert sum([len(data) async for data in answer.aiter_raw()]) == total
        assert not connection.is_held
    assert len(transport.connections) == 0


async def test_large_request_is_sent_whole():
    async with ReplayServer(Reply(body=b"{}")) as server, client() as http:
        await http.post(server.url, content=bytes(8 * 2**20))
    assert len(server.requests[0].body) == 8 * 2**20


async def test_request_that_is_refused_before_it_is_read_says_so():
    refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno"
    async with serving(answering(refusal)) as url, client() as http:
        assert (await http.post(url, content=bytes(64 * 2**20))).status_code == 413


# Failures


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def hung_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    # To linger for no time is to reset.
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize(
    ("handler", "limits", "expected"),
    [
        pytest.param(silent, httpx2.Timeout(5, read=0.05), httpx2.ReadTimeout, id="no-answer-in-time"),
        pytest.param(
            answering(CHUNKED + b"2\r\nhe\r\n"),
            httpx2.Timeout(5, read=0.05),
            httpx2.ReadTimeout,
            id="answer-falls-silent",
        ),
        pytest.param(deaf, httpx2.Timeout(5, write=0.05), httpx2.WriteTimeout, id="request-is-not-read"),
        pytest.param(hung_up, httpx2.Timeout(5), httpx2.RemoteProtocolError, id="no-answer"),
        pytest.param(answering(b"SSH-2.0\r\n"), httpx2.Timeout(5), httpx2.RemoteProtocolError, id="other-protocol"),
        pytest.param(
            answering(CHUNKED + b"10\r\nhel", hangs_up=True),
            httpx2.Timeout(5),
            httpx2.RemoteProtocolError,
            id="cut-in-mid-chunk",
        ),
        pytest.param(reset, httpx2.Timeout(5), httpx2.ReadError, id="reset"),
    ],
)
async def test_failure_is_the_error_that_the_package_expects(
    handler: Handler, limits: httpx2.Timeout, expected: type[httpx2.TransportError]
):
    transport = StreamingTransport()
    async with serving(handler) as url, httpx2.AsyncClient(transport=transport, timeout=limits) as http:
        with pytest.raises(expected):
            await http.post(url, content=bytes(2**26 if handler is deaf else 2**10))
        await eventually(lambda: not transport.connections)


async def test_what_came_before_a_cut_is_read_first():
    cut = answering(CHUNKED + b"2\r\nhe\r\n9\r\nl", hangs_up=True)
    async with serving(cut) as url, client() as http, http.stream("GET", url) as answer:
        reads = answer.aiter_raw()
        received = b""
        while len(received) < 3:
            received += await anext(reads)
        with pytest.raises(httpx2.RemoteProtocolError):
            await anext(reads)
    assert received == b"hel"


@pytest.mark.parametrize(
    ("url", "headers", "expected"),
    [
        pytest.param("http://127.0.0.1:1/", {}, httpx2.ConnectError, id="nobody-listens"),
        pytest.param(f"http://{'x' * 80}.test/", {}, httpx2.ConnectError, id="no-such-name"),
        pytest.param("ftp://127.0.0.1/", {}, httpx2.UnsupportedProtocol, id="not-http"),
        pytest.param("http://127.0.0.1:1/", {"x": "1\r\ny: 2"}, httpx2.LocalProtocolError, id="smuggled-header"),
    ],
)
async def test_request_that_cannot_be_sent_says_why(
    url: str, headers: dict[str, str], expected: type[httpx2.TransportError]
):
    async with client() as http:
        with pytest.raises(expected):
            await http.get(url, headers=headers)


async def test_connection_that_does_not_come_about_in_time_says_so():
    # It is accepted, but the server does not answer TLS.
    async with serving(deaf) as url, client(timeout=httpx2.Timeout(5, connect=0.05)) as http:
        with pytest.raises(httpx2.ConnectTimeout):
            await http.get(url.replace("http:", "https:"))


async def test_name_with_several_addresses_is_reached_at_the_one_that_answers():
    async with serving(answering(WHOLE)) as url, client() as http:
        assert (await http.get(url.replace("127.0.0.1", "localhost"))).content == b"ok"


# Through the package


async def read(url: str, **options: Any) -> str:
    model = anthropic("claude-sonnet-4-6", base_url=url, api_key="key-1", **options)
    return texts([part async for batch in model.stream(CALL) for part in batch])


async def test_answer_comes_over_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    certificate = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with ReplayServer(Reply("text", split=10), tls=server_tls(certificate)) as server:
        assert [await read(server.url), await read(server.url)] == [ANSWER, ANSWER]
    assert server.connection_count == 1


async def test_certificate_that_nobody_knows_is_refused(tmp_path: Path):
    async with ReplayServer("text", tls=server_tls(write_certificate(tmp_path))) as server:
        with pytest.raises(ProviderConnectionError, match="certificate verify failed"):
            await read(server.url, max_retries=0)
    assert server.requests == []


async def test_leaving_closes_a_connection_over_tls_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    certificate = write_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with ReplayServer(Reply("text", hold_after=4), tls=server_tls(certificate)) as server:
        answer = anthropic("m", base_url=server.url, api_key="key-1").stream(CALL)
        await anext(answer)
        left_at = time.monotonic()
        await answer.aclose()
        await server.requests[0].over()
    assert server.requests[0].aborted_at is not None
    assert server.requests[0].aborted_at - left_at < AT_ONCE


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"http_proxy": "{proxy}"}, "http://provider.test/v1/messages"),
        ({"all_proxy": "{proxy}"}, "http://provider.test/v1/messages"),
        ({"http_proxy": "http://127.0.0.1:1", "no_proxy": "127.0.0.1"}, "/v1/messages"),
        ({"no_proxy": "*"}, "/v1/messages"),
    ],
)
async def test_proxy_of_the_environment_is_gone_through(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
):
    async with ReplayServer("text") as server:
        for name, value in variables.items():
            monkeypatch.setenv(name, value.format(proxy=server.url))
        assert await read("http://provider.test" if "test" in expected else server.url) == ANSWER
    assert server.requests[0].path == expected
