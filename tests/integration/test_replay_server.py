"""The stand-in for the Messages API, seen by the real ``anthropic`` package and by a bare socket."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Generator
from contextlib import closing, contextmanager

import anthropic
import pytest

from tests.support.waiting import PATIENCE
from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply
from usechat.testing.streams import Framing, read_events, read_stream, stream_names


@contextmanager
def connected(server: ReplayServer) -> Generator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rsplit(":", 1)[1]), timeout=PATIENCE)
    with closing(connection):
        yield connection


@contextmanager
def asked(server: ReplayServer) -> Generator[http.client.HTTPResponse]:
    with connected(server) as connection:
        connection.request("POST", "/v1/messages", body=b'{"stream":true}')
        with connection.getresponse() as response:
            yield response


def raw_connection(server: ReplayServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1])), timeout=PATIENCE)


def body_of(server: ReplayServer) -> bytes:
    with asked(server) as response:
        return response.read()


def status_of(server: ReplayServer) -> int:
    with asked(server) as response:
        return response.status


def test_package_reads_a_shipped_stream_as_it_would_read_anthropics():
    with ReplayServer("text") as server, anthropic.Anthropic(base_url=server.url, api_key="k") as client:
        with client.messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}], stream=True
        ) as events:
            deltas = [event.delta for event in events if event.type == "content_block_delta"]
        texts = [delta.text for delta in deltas if delta.type == "text_delta"]
    assert "".join(texts) == "High water is at 14:20 in Whitby."
    assert server.requests[0].json["model"] == "m"
    assert server.requests[0].headers["authorization"] == "Bearer k"
    assert server.requests[0].path == "/v1/messages"


@pytest.mark.parametrize("name", stream_names())
def test_shipped_stream_is_framed_as_anthropic_frames_it(name: str):
    body = read_stream(name)
    assert body.endswith(b"\n\n")
    assert b"\r" not in body
    assert body.count(b"\n\n") == len(read_events(name)) == body.count(b"event: ")


def test_stream_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match=r"no-such\.sse"):
        read_stream("no-such")


def test_replies_come_in_turn_and_the_last_is_repeated():
    with ReplayServer(Reply(status=529), "text") as server:
        assert [status_of(server) for _ in range(3)] == [529, 200, 200]
    assert len(server.requests) == 3


def test_reply_may_depend_on_the_request():
    def script(request: ReplayedRequest) -> Reply:
        return Reply(status=200 if request.json["stream"] else 400)

    with ReplayServer(script) as server:
        assert status_of(server) == 200


def test_server_without_a_reply_is_refused():
    with pytest.raises(ValueError, match="needs a reply"):
        ReplayServer()


def test_http_error_is_anthropics_error_object():
    with ReplayServer(Reply(status=429, headers={"retry-after": "7"})) as server, asked(server) as response:
        assert response.getheader("retry-after") == "7"
        assert b'"type": "rate_limit_error"' in response.read()


def test_whole_body_is_sent_as_it_is():
    with ReplayServer(Reply(body=b"<html>", content_type="text/html")) as server, asked(server) as response:
        assert (response.getheader("content-type"), response.read()) == ("text/html", b"<html>")


@pytest.mark.parametrize(("split", "expected"), [(None, "events"), (-1, "one"), (7, "sevens")])
def test_pieces_are_events_or_of_a_size(split: int | None, expected: str):
    with ReplayServer(Reply("text", split=split)) as server:
        assert body_of(server) == read_stream("text"), expected


@pytest.mark.parametrize(
    ("framing", "begin"),
    [
        ("lf", b"event: message_start\ndata: {"),
        ("crlf", b"event: message_start\r\ndata: {"),
        ("cr", b"event: message_start\rdata: {"),
        ("multiline", b"event: message_start\ndata: {\ndata: "),
        ("no-space", b"event:message_start\ndata:{"),
        ("comments", b": comment 0\nid: 0\nretry: 1000\nevent: message_start\n"),
        ("no-event", b"data: {"),
    ],
)
def test_framing_is_as_asked(framing: Framing, begin: bytes):
    with ReplayServer(Reply("text", framing=framing)) as server:
        assert body_of(server).startswith(begin)


def test_end_after_ends_the_body_well():
    with ReplayServer(Reply("text", end_after=2)) as server:
        assert body_of(server).count(b"event:") == 2


def test_cut_after_resets_the_connection():
    with ReplayServer(Reply("text", cut_after=2)) as server:
        with asked(server) as response, pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            response.read()
        server.requests[0].wait()
        assert server.requests[0].is_complete


def test_connection_serves_one_request_after_the_other():
    with ReplayServer("text") as server, connected(server) as connection:
        for _ in range(3):
            connection.request("POST", "/v1/messages", body=b"{}")
            with connection.getresponse() as response:
                assert response.read() == read_stream("text")
    assert (len(server.requests), server.connection_count) == (3, 1)


def test_connection_ends_when_the_client_wants_it_closed():
    request = b"POST /v1/messages HTTP/1.1\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
    with ReplayServer("text") as server, raw_connection(server) as client:
        client.sendall(request)
        received = b"".join(iter(lambda: client.recv(65536), b""))
    assert received.endswith(b"0\r\n\r\n")


def test_client_that_goes_away_is_noticed():
    with ReplayServer(Reply("text", hold_after=2)) as server:
        with raw_connection(server) as client:
            client.sendall(b"POST /v1/messages HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}")
            assert client.recv(10)
            assert not server.requests[0].is_aborted
        server.requests[0].wait()
        assert server.requests[0].is_aborted
        assert not server.requests[0].is_complete


def test_closing_ends_a_held_reply():
    server = ReplayServer(Reply("text", hold_after=0))
    server.start()
    with asked(server) as response:
        server.close()
        assert server.requests[0].is_aborted
        with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
            response.read()


def test_waiting_for_what_does_not_happen_ends():
    with ReplayServer(Reply("text", hold_after=0)) as server, asked(server), pytest.raises(TimeoutError):
        server.requests[0].wait(within=0.01)


@pytest.mark.anyio
async def test_request_that_does_not_come_is_not_waited_for_long():
    async with ReplayServer("text") as server:
        with pytest.raises(TimeoutError):
            await server.received(within=0.01)


@pytest.mark.anyio
async def test_server_serves_asynchronous_code_too():
    async with (
        ReplayServer(Reply("text", delay=0.001)) as server,
        anthropic.AsyncAnthropic(base_url=server.url, api_key="k") as client,
    ):
        stream = await client.messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}], stream=True
        )
        kinds = [event.type async for event in stream]
        await (await server.received()).wait_async()
    assert kinds[-1] == "message_stop"
    assert server.requests[0].is_complete


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
