"""What was accepted can be read back, by each route that reads; what cannot be kept is refused before it is stored.

On `usechat serve` as people run it: chats in SQLite, and in PostgreSQL with runs in Redis, where the server holds the
history.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from websockets.sync.client import ClientConnection, connect

from tests.integration.kept_chats import MASKED, QUICK, Kept, body_of, encode, go_on, parse_json, read_everywhere
from tests.integration.running_server import serving
from tests.support.databases import make_migrated_url
from tests.support.odd_bodies import HALF, bodies, json_text, nested
from tests.support.redis_server import RedisServer
from tests.support.scripted_upstream import ScriptedUpstream
from usechat.chats.sql.store import SqlChatStore
from usechat.testing.replay import Reply

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL and Redis"])
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("server")
    with ExitStack() as stack:
        upstream = stack.enter_context(ScriptedUpstream())
        variables = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": upstream.url, "USECHAT_MODEL": "a-model"}
        if request.param != "SQLite":
            redis: RedisServer = request.getfixturevalue("redis_server")
            variables["USECHAT_REDIS_URL"] = f"{redis.url.removesuffix('0')}15"
            variables["USECHAT_DATABASE_URL"] = make_migrated_url("postgresql", request, folder)
            variables["USECHAT_HISTORY"] = "server"
        server = stack.enter_context(serving(folder, **variables))
        url = variables.get("USECHAT_DATABASE_URL", f"sqlite:///{folder}/usechat.db")
        yield Kept(server, upstream, url, is_all_kept=request.param == "SQLite")


@pytest.fixture
def kept(deployment: Kept) -> Iterator[Kept]:
    deployment.upstream.will(QUICK)
    yield deployment
    deployment.clear()


def check_as_sent(body: Any, messages: list[Any], *, is_all: bool) -> None:
    """Each message is as it was sent; AI SDK 4's are in the later form."""
    sent = body["messages"]
    if not is_all:
        # Of a new chat the server takes what the user says last.
        last_others = max((index for index, message in enumerate(sent) if message["role"] != "user"), default=-1)
        sent = sent[last_others + 1 :]
    # An answer goes on with the last one.
    untouched = sent[:-1] if sent and sent[-1]["role"] == "assistant" else sent
    assert len(messages) >= len(untouched)
    for posted, found in zip(untouched, messages, strict=False):
        if is_of_4(posted):
            continue
        if posted.get("id"):
            assert found == posted
        else:
            assert isinstance(found["id"], str)
            assert {**found, "id": None} == {**posted, "id": None}


def is_of_4(message: Any) -> bool:
    if not {"content", "toolInvocations", "experimental_attachments"}.isdisjoint(message):
        return True
    return any(
        part["type"] in ("tool-invocation", "source")
        or (part["type"] == "reasoning" and "text" not in part)
        or (part["type"] == "file" and "mimeType" in part)
        for part in message["parts"]
    )


def change(kept: Kept, chat_id: str, metadata: Any) -> None:
    """A title and metadata by hand, both as odd as the rest."""
    patch = {"title": f"{HALF} title", "metadata": {"odd": metadata}}
    changed = kept.client.patch(kept.path(chat_id), content=json_text(patch))
    if changed.status_code == 200:
        assert parse_json(changed.content)["title"] == f"{HALF} title"
        expected = {} if metadata is None else {"odd": metadata}
        if not isinstance(metadata, dict):
            # In an object, null takes a key away.
            assert kept.get(kept.path(chat_id))["metadata"] == expected
    else:
        assert 400 <= changed.status_code < 500, changed.text


def check_kept_or_refused(kept: Kept, body: Any) -> None:
    """The property."""
    answer = kept.post(body)
    if answer.status_code != 200:
        assert 400 <= answer.status_code < 500, answer.text
        assert parse_json(answer.content)["detail"]
        assert kept.listed() == []
        return
    # What it says to the client of a failure is its own: nothing of ours broke.
    assert MASKED not in answer.text
    body = parse_json(json_text(body))
    if not body.get("id"):
        assert kept.listed() == []
        return
    messages = read_everywhere(kept, body)
    if body.get("trigger") != "regenerate-message":
        check_as_sent(body, messages, is_all=kept.is_all_kept)
    change(kept, body["id"], body["messages"][0].get("metadata"))
    assert [chat["id"] for chat in kept.listed()] == [body["id"]]
    go_on(kept, body, messages)
    read_everywhere(kept, body)
    assert kept.client.delete(kept.path(body["id"])).status_code == 204
    assert kept.client.get(kept.path(body["id"])).status_code == 404
    assert kept.listed() == []


KEPT_IDS = (
    *(
        "a/b",
        "a/",
        "/a",
        "//",
        "a b",
        " ",
        "a+b",
        "a?b#c",
        "a\\b",
        "%41",
        "%2F",
        "%zz",
        "...",
        "export",
        "a/stream",
        "a/stop",
    ),
    *("ws", "é", "😀", "\u2028", "\ufffd", "\ufeff", "'\"<>&;:@=", "é" * 500, "x" * 1000),
)


@pytest.mark.parametrize("chat_id", KEPT_IDS, ids=ascii)
def test_chat_of_an_odd_id_is_read_answered_again_and_removed(kept: Kept, chat_id: str):
    body = body_of("Hello", chat_id)

    check_kept_or_refused(kept, body)

    assert kept.post(body).status_code == 200
    assert [chat["id"] for chat in kept.listed()] == [chat_id]


REFUSED_IDS = (HALF, f"a{HALF}", "\x00", "a\x00b", "a\n", "\t", "\x7f", "\x85", ".", "..", "a/../b", "a/.", "a/export")


@pytest.mark.parametrize("chat_id", REFUSED_IDS, ids=ascii)
def test_id_that_no_url_carries_is_refused_before_anything_is_kept(kept: Kept, chat_id: str):
    answer = kept.post(body_of("Hello", chat_id))

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("id: must not ")
    assert kept.listed() == []
    assert kept.upstream.requests == []


def test_id_that_no_index_holds_is_refused_before_anything_is_kept(kept: Kept):
    answer = kept.post(body_of("Hello", "x" * 1001))

    assert (answer.status_code, answer.json()["detail"]) == (422, "id: is too long")
    assert kept.listed() == []
    assert kept.upstream.requests == []


HALVES: dict[str, dict[Any, Any]] = {
    "messages[0].id": {"id": HALF},
    "messages[0]": {HALF: 1},
}


@pytest.mark.parametrize("path", HALVES)
def test_half_of_a_character_in_a_name_is_refused_with_its_place(kept: Kept, path: str):
    answer = kept.post(body_of("Hello", **HALVES[path]))

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(f"{path}: ")
    assert kept.listed() == []


@pytest.mark.parametrize("name", ["messageId", "trigger"])
def test_half_of_a_character_in_what_is_asked_is_refused(kept: Kept, name: str):
    answer = kept.post({**body_of("Hello"), name: HALF})

    assert (answer.status_code, answer.json()["detail"]) == (400, f"{name}: must not hold half of a character")
    assert kept.listed() == []


ODD_METADATA = (
    *(
        {HALF: HALF},
        {"": {"\x00": "\x00"}},
        [2**64 - 1, -(2**63), 2**53 + 1],
        [-(2**63) - 1, 2**64, 10**30, -(10**400)],
    ),
    *(
        [-0.0, 1e-7, 1e21, 5e-324, 1.7976931348623157e308],
        "the number 1e400",
        "x" * 100_000,
        "\ud83d\ude00",
        "\ude00\ud83d",
    ),
)


@pytest.mark.parametrize("metadata", ODD_METADATA, ids=lambda value: ascii(value)[:30])
def test_odd_values_are_read_back_as_javascript_has_them(kept: Kept, metadata: Any):
    check_kept_or_refused(kept, body_of("Hello", metadata=metadata))


@pytest.mark.parametrize(
    "text", [f"{HALF} hello", f"hello {HALF}", HALF, "\ude00\ud83d", "a\x00b", "x" * 1_000_000, "ﷺ" * 100]
)
def test_text_is_kept_as_the_client_has_it_and_the_model_gets_whole_characters(kept: Kept, text: str):
    body = body_of(text)

    answer = kept.post(body)

    assert answer.status_code == 200
    [sent] = kept.upstream.requests[0].json["messages"]
    assert sent["content"][0]["text"] == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    messages = read_everywhere(kept, body)
    assert messages[0] == body["messages"][0]
    go_on(kept, body, messages)


def test_escape_of_half_a_character_is_sent_as_the_client_sent_it(kept: Kept):
    kept.post(body_of(f"{HALF} hello"))

    for path in ("/api/chats", kept.path("c"), f"{kept.path('c')}/export"):
        assert b"\\ud83d hello" in kept.client.get(path).content


def split_pair() -> Reply:
    """An answer whose emoji comes in two halves, with a real half after it; then it falls silent, or ends."""
    words = ["Waves ", HALF, "\ude00", " and ", HALF, " so on"]
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in words
    ]
    message: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "x"}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "usage": {"input_tokens": 3, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    return Reply(events=[json.dumps(event) for event in events])


WAVES = f"Waves 😀 and {HALF} so on"


def text_in(stream: str) -> str:
    chunks = [json.loads(line[6:]) for line in stream.split("\n") if line.startswith("data: {")]
    deltas = [chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta"]
    # As JavaScript joins them.
    return "".join(deltas).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def test_running_answer_with_halves_of_characters_is_resumed_and_kept(kept: Kept):
    reply = split_pair()
    assert reply.events is not None
    kept.upstream.will(Reply(events=reply.events, hold_after=len(reply.events) - 3))
    body = body_of(f"{HALF} hello", "a/b 😀")
    with kept.client.stream("POST", "/api/chat", content=json_text(body)) as first:
        lines = first.iter_lines()
        while "so on" not in next(lines):
            pass
        with (
            kept.client.stream("GET", f"/api/chat/{encode(body['id'])}/stream") as again,
            kept.client.stream("GET", "/api/chat", params={"chatId": body["id"]}) as older,
        ):
            assert (again.status_code, older.status_code) == (200, 200)
            assert kept.listed()[0]["isAnswering"]
            assert kept.client.post(f"/api/chat/{encode(body['id'])}/stop").json() == {"stopped": True}
            assert text_in(again.read().decode()) == text_in(older.read().decode()) == WAVES
    while kept.get(kept.path(body["id"]))["isAnswering"]:
        pass
    messages = read_everywhere(kept, body)
    assert [part["text"] for part in messages[-1]["parts"] if part["type"] == "text"] == [WAVES]


def test_answer_with_halves_of_characters_is_answered_again(kept: Kept):
    kept.upstream.will(split_pair(), QUICK)
    body = body_of("Hello")

    assert text_in(kept.post(body).text) == WAVES

    messages = read_everywhere(kept, body)
    assert [part["text"] for part in messages[-1]["parts"] if part["type"] == "text"] == [WAVES]
    go_on(kept, body, messages)
    assert kept.upstream.requests[1].json["messages"][1]["content"][0]["text"] == WAVES.replace(HALF, "\ufffd")


def test_chats_from_before_are_listed_read_and_removed(kept: Kept):
    ids = (HALF, "a\n", "..", "a/export", "deep", "deeper")

    async def keep() -> None:
        store = SqlChatStore(kept.database_url)
        for chat_id in ids:
            await store.create_chat("default", chat_id, metadata={"a": HALF})
        for chat_id, depth in (("deep", 300), ("deeper", 700)):
            await store.update_chat("default", chat_id, metadata={"a": nested(depth), "b": 1})
        await store.aclose()

    asyncio.run(keep())

    listed = {chat["id"]: chat for chat in kept.listed()}
    assert set(listed) == set(ids)
    assert listed["deep"]["metadata"]["b"] == listed["deeper"]["metadata"]["b"] == 1
    for chat_id in (HALF, "a\n", "deep", "deeper"):
        assert kept.get(kept.path(chat_id))["id"] == chat_id
        assert kept.get(f"{kept.path(chat_id)}/export")["id"] == chat_id
        assert kept.client.get(f"/api/chat/{encode(chat_id)}/stream").status_code == 204
        assert kept.client.post(f"/api/chat/{encode(chat_id)}/stop").json() == {"stopped": False}
        assert kept.client.patch(kept.path(chat_id), json={"title": "Found"}).json()["title"] == "Found"
    for chat_id in (HALF, "a\n", "a/export", "deep", "deeper"):
        assert kept.client.delete(kept.path(chat_id)).status_code == 204
    remove_by_its_bytes(kept, "/api/chats/..")
    assert kept.listed() == []


def remove_by_its_bytes(kept: Kept, path: str) -> None:
    """Of a path that clients make another one of."""
    url = kept.client.base_url
    with socket.create_connection((url.host, url.port or 80), 10) as connection:
        connection.sendall(f"DELETE {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 204")


def test_socket_refuses_what_cannot_be_kept_and_goes_on(kept: Kept):
    url = str(kept.client.base_url).replace("http", "ws", 1).rstrip("/")

    def ask(connection: ClientConnection, **fields: Any) -> Any:
        connection.send(json_text({"type": "send", "requestId": HALF, "headers": {}, "body": {}, **fields}).decode())
        while (frame := parse_json(connection.recv(timeout=60)))["type"] not in ("end", "error", "no-active"):
            pass
        assert frame["requestId"] == HALF
        return frame

    with connect(f"{url}/api/chat/ws") as connection:
        refused = [
            ask(connection, **body_of("Hello", HALF)),
            ask(connection, **body_of("Hello", "a\n")),
            ask(connection, **body_of("Hello", metadata=nested(400))),
            ask(connection, type="resume", id=HALF),
        ]
        assert [frame["type"] for frame in refused] == ["error"] * 4
        assert [frame["errorText"].partition(":")[0] for frame in refused] == [
            "id",
            "id",
            "messages[0].metadata",
            "id",
        ]
        assert kept.listed() == []
        assert ask(connection, **body_of(f"{HALF} hello"))["type"] == "end"
    assert read_everywhere(kept, body_of("Hello"))[0]["parts"][0]["text"] == f"{HALF} hello"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])
@given(body=bodies())
@example(body=body_of(f"{HALF} hello"))
def test_whatever_got_200_can_be_read_by_each_route(kept: Kept, body: Any):
    try:
        check_kept_or_refused(kept, body)
    finally:
        kept.clear()
