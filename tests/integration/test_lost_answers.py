"""A process is killed in the middle of its answers: another one goes on with them, or ends them."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections import Counter
from collections.abc import Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.running_server import RunningServer, serving
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE, eventually
from usechat.protocol.decoders import UIMessageStreamDecoder
from usechat.protocol.reducer import Reducer
from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply
from usechat.testing.streams import read_events

pytestmark = pytest.mark.timeout(180)

PROGRAM = """
import asyncio
import os
from pathlib import Path

from usechat import Agent, ToolContext, tool
from usechat.models import anthropic


async def work(context: ToolContext) -> str:
    with Path(os.environ["CALLS"]).open("a") as calls:
        calls.write(f"{context.tool_name} {context.idempotency_key}\\n")
    if "hangs" in str(context.messages) and "HANGS" in os.environ:
        await asyncio.Event().wait()
    return "done"


@tool
async def sound_horn(context: ToolContext) -> str:
    return await work(context)


@tool(idempotent=True)
async def measure(context: ToolContext) -> str:
    return await work(context)


agent = Agent(anthropic("claude-sonnet-4-6"), tools=[sound_horn, measure])
"""
TEXT = read_events("text")
HELD_AT = [index for index, event in enumerate(TEXT) if "text_delta" in event][3]
REST = [*TEXT[:2], *TEXT[HELD_AT:]]
LEASE = 3
"""Seconds. Whoever takes an answer over has as long to go on with it, on a machine that does much else, too."""


def call(tool: str) -> list[str]:
    """The events of a model that calls a tool."""
    block: dict[str, Any] = {"type": "tool_use", "id": f"toolu_{tool}", "name": tool, "input": {}}
    ended = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}}
    begun = json.dumps({"type": "content_block_start", "index": 0, "content_block": block})
    return [TEXT[0], begun, json.dumps({"type": "content_block_stop", "index": 0}), json.dumps(ended), TEXT[-1]]


HELD = Reply(events=TEXT, hold_after=HELD_AT)
REPLIES: Mapping[str, list[Reply]] = {
    "text": [HELD, Reply(events=REST)],
    "recorded": [Reply(events=call("sound_horn")), HELD, Reply(events=REST)],
    "sound_horn hangs": [Reply(events=call("sound_horn")), Reply("text")],
    "measure hangs": [Reply(events=call("measure")), Reply("text")],
}
"""What the model says to each question, call for call."""
ASLEEP: Mapping[str, list[Reply]] = {
    "asleep": [Reply(events=call("sound_horn"), hold_after=1), Reply(events=call("sound_horn")), Reply("text")]
}
ASKERS: Mapping[str, str] = {"from one": "192.0.2.1", "from another": "192.0.2.2"}
"""Questions, and the addresses they come from."""
LIMITED: Mapping[str, list[Reply]] = {
    **{words: [HELD, Reply(events=REST, hold_after=1)] for words in ASKERS},
    "from a third": [Reply("text")],
}


class Model:
    """A Messages API that answers each question by its words."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[dict[str, Any]]]] = []
        self._counts: Counter[str] = Counter()

    def __call__(self, request: ReplayedRequest) -> Reply:
        messages = request.json["messages"]
        words = next(part["text"] for part in messages[0]["content"] if part["type"] == "text")
        self.asked.append((words, messages))
        replies = {**REPLIES, **ASLEEP, **LIMITED}[words]
        reply = replies[min(self._counts[words], len(replies) - 1)]
        self._counts[words] += 1
        return reply

    def last(self, words: str) -> list[dict[str, Any]]:
        """What the model got last with a question."""
        return [messages for asked, messages in self.asked if asked == words][-1]


class Reading:
    """A response that is read in a thread."""

    def __init__(self, server: RunningServer, method: str, path: str, **given: Any) -> None:
        self.seen = b""
        self._news = threading.Condition()
        self._server = server
        self._request = method, path, given
        self.over: Future[None] = Future()

    def read(self) -> None:
        """Read to the end, or until the server is gone."""
        method, path, given = self._request
        with (
            suppress(httpx.TransportError),
            httpx.Client(base_url=self._server.client.base_url, verify=False) as client,
            client.stream(method, path, timeout=PATIENCE, **given) as response,
        ):
            for piece in response.iter_bytes():
                with self._news:
                    self.seen += piece
                    self._news.notify_all()
        with self._news:
            self.over.set_result(None)
            self._news.notify_all()

    def wait_for(self, words: bytes) -> None:
        """Wait until some words have come."""
        with self._news:
            assert self._news.wait_for(lambda: words in self.seen or self.over.done(), PATIENCE)
        assert words in self.seen, self.seen

    def whole(self) -> bytes:
        """All of it."""
        self.over.result(PATIENCE)
        return self.seen


def question(words: str) -> dict[str, Any]:
    return {"id": words, "messages": [{"id": "u", "role": "user", "parts": [{"type": "text", "text": words}]}]}


def shown_of(words: str) -> bytes:
    """Return what is shown of an answer until its process is killed."""
    return b"tool-input-available" if "hangs" in words else b"14:20"


def built(seen: bytes) -> list[dict[str, Any]]:
    """The parts of the message that a client builds of a stream."""
    reducer = Reducer()
    reducer.feed_all(UIMessageStreamDecoder().feed(seen))
    return reducer.message()["parts"]


def kinds(seen: bytes) -> list[str]:
    return [json.loads(line[6:])["type"] for line in seen.decode().splitlines() if line.startswith("data: {")]


def last_id(seen: bytes) -> str:
    return [line[4:] for line in seen.decode().splitlines() if line.startswith("id: ")][-1]


class Deaths:
    """Servers of one deployment, of which one is killed while it answers."""

    def __init__(self, folder: Path, url: str, redis_url: str, upstream: ReplayServer, model: Model) -> None:
        self.folder = folder
        self.url = url
        self.redis_url = redis_url
        self.upstream = upstream
        self.model = model
        self.calls = folder / "calls"
        self.calls.touch()
        self.readers = ThreadPoolExecutor(16)

    @contextmanager
    def serve(self, name: str, on_lost: str, **variables: str) -> Generator[RunningServer]:
        (self.folder / name).mkdir()
        (self.folder / name / "my_app.py").write_text(PROGRAM)
        settings = {
            "ANTHROPIC_API_KEY": "unused",
            "ANTHROPIC_BASE_URL": self.upstream.url,
            "USECHAT_DATABASE_URL": self.url,
            "USECHAT_REDIS_URL": self.redis_url,
            "USECHAT_LEASE_SECONDS": str(LEASE),
            "USECHAT_DISCONNECT": "finish",
            "USECHAT_ON_LOST": on_lost,
            "USECHAT_SDK": "7.0.173",
            "CALLS": str(self.calls),
        }
        with serving(self.folder / name, "my_app:agent", **{**settings, **variables}) as server:
            yield server

    def read(self, server: RunningServer, method: str, path: str, **given: Any) -> Reading:
        """Begin to read."""
        reading = Reading(server, method, path, **given)
        self.readers.submit(reading.read)
        return reading

    def ask(self, server: RunningServer, words: str) -> Reading:
        """Ask, and wait until the answer is where it stays until its server is killed."""
        reading = self.read(server, "POST", "/api/chat", json=question(words))
        reading.wait_for(shown_of(words))
        return reading

    def follow(self, server: RunningServer, words: str, **query: str) -> Reading:
        """Read the answer to a question beside others."""
        return self.read(server, "GET", f"/api/chat/{words}/stream", params=query)

    def await_calls(self, count: int) -> None:
        """Wait until so many tools have begun."""
        asyncio.run(eventually(lambda: len(self.calls.read_text().splitlines()) >= count))


@contextmanager
def deployed(postgres: PostgresServer, redis: RedisServer, folder: Path) -> Generator[Deaths]:
    url = postgres.make_migrated_database()
    redis.ask("FLUSHALL")
    model = Model()
    with ReplayServer(model) as upstream:
        deaths = Deaths(folder, url, redis.url, upstream, model)
        with deaths.readers:
            yield deaths


def kill(server: RunningServer) -> None:
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()


class Outcome:
    """What became of the answers of a killed server."""

    def __init__(self, model: Model, calls: list[str]) -> None:
        self.model = model
        self.calls = calls
        self.waiting: dict[str, bytes] = {}
        """What readers in the other process have, who read from before the death on."""
        self.back: dict[str, bytes] = {}
        """What readers of the dead process have, who came back with a cursor."""
        self.saved: dict[str, dict[str, Any]] = {}


@pytest.fixture(scope="module")
def outcome(
    postgres_server: PostgresServer, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Outcome:
    folder = tmp_path_factory.mktemp("deaths")
    with (
        deployed(postgres_server, redis_server, folder) as deaths,
        deaths.serve("a", "continue", HANGS="1") as dying,
        deaths.serve("b", "continue") as living,
    ):
        asked = {words: deaths.ask(dying, words) for words in REPLIES}
        deaths.await_calls(3)
        begun = [deaths.follow(dying, words, cursor="0") for words in REPLIES]
        waiting = [deaths.follow(living, words) for words in REPLIES]
        for words, *readings in zip(REPLIES, begun, waiting, strict=True):
            for reading in readings:
                reading.wait_for(shown_of(words))
        kill(dying)
        cursors = [last_id(reading.whole()) for reading in begun]
        back = [deaths.follow(living, words, cursor=cursor) for words, cursor in zip(REPLIES, cursors, strict=True)]
        outcome = Outcome(deaths.model, [])
        for words, before, after, other in zip(REPLIES, begun, back, waiting, strict=True):
            asked[words].whole()
            outcome.back[words] = before.whole() + after.whole()
            outcome.waiting[words] = other.whole()
            outcome.saved[words] = living.client.get(f"/api/chats/{words}").json()["messages"][-1]
        outcome.calls = deaths.calls.read_text().splitlines()
    # Its server must not take what later tests leave in the same Redis.
    return outcome


@pytest.mark.parametrize("words", REPLIES)
def test_answer_of_a_killed_process_goes_on_to_its_end(outcome: Outcome, words: str):
    assert "".join(part["text"] for part in outcome.saved[words]["parts"] if part["type"] == "text") == (
        "High water is at 14:20 in Whitby."
    )
    assert outcome.waiting[words].endswith(b"data: [DONE]\n\n")
    assert kinds(outcome.waiting[words])[-1] == "finish"
    assert "error" not in kinds(outcome.waiting[words])


@pytest.mark.parametrize("words", REPLIES)
def test_readers_see_one_sequence_which_is_what_is_saved(outcome: Outcome, words: str):
    assert built(outcome.waiting[words]) == outcome.saved[words]["parts"]
    assert built(outcome.back[words]) == outcome.saved[words]["parts"]
    assert kinds(outcome.waiting[words]).count("start") == 1


def test_the_model_goes_on_from_the_text_that_was_shown(outcome: Outcome):
    said = [
        part for message in outcome.model.last("text") if message["role"] == "assistant" for part in message["content"]
    ]
    assert [part["text"].strip() for part in said] == ["High water is at 14:20"]


def test_tool_that_recorded_its_end_does_not_run_again(outcome: Outcome):
    runs = [call for call in outcome.calls if call.startswith("sound_horn")]
    assert len(runs) == len(set(runs)) == 2
    assert {part["output"] for part in outcome.saved["recorded"]["parts"] if part["type"] == "tool-sound_horn"} == {
        "done"
    }


def test_tool_that_began_and_recorded_nothing_may_have_taken_effect(outcome: Outcome):
    parts = [part for part in outcome.saved["sound_horn hangs"]["parts"] if part["type"] == "tool-sound_horn"]
    assert [part["state"] for part in parts] == ["output-error"]
    assert "may have taken effect" in parts[0]["errorText"]
    result = outcome.model.last("sound_horn hangs")[-1]["content"][0]
    assert (result["type"], result["is_error"]) == ("tool_result", True)


def test_idempotent_tool_runs_again_with_the_same_key(outcome: Outcome):
    runs = [call for call in outcome.calls if call.startswith("measure")]
    assert len(runs) == 2
    assert len(set(runs)) == 1
    parts = [part for part in outcome.saved["measure hangs"]["parts"] if part["type"] == "tool-measure"]
    assert [(part["state"], part["output"]) for part in parts] == [("output-available", "done")]


def test_tool_that_recorded_its_end_does_not_run_in_the_next_turn(
    postgres_server: PostgresServer, redis_server: RedisServer, tmp_path: Path
):
    with deployed(postgres_server, redis_server, tmp_path) as deaths:
        # What its reader has seen is in Redis.
        with deaths.serve("a", "end", USECHAT_DURABLE="strict") as dying:
            asked = deaths.ask(dying, "recorded")
            kill(dying)
            asked.whole()
        with deaths.serve("b", "end") as living:
            chat = "/api/chats/recorded"
            asyncio.run(eventually(lambda: len(living.client.get(chat).json()["messages"]) == 2))
            saved = living.client.get(chat).json()["messages"]
            assert saved[-1]["parts"][-1]["text"] == "High water is at 14:20 "
            more = {"id": "u2", "role": "user", "parts": [{"type": "text", "text": "And now?"}]}
            body = {"id": "recorded", "messages": [*saved, more]}
            told = living.client.post("/api/chat", json=body, timeout=PATIENCE)
        assert kinds(told.content)[-1] == "finish"
        assert len(deaths.calls.read_text().splitlines()) == 1
        results = [part for message in deaths.model.last("recorded") for part in message["content"]]
        assert [part["content"] for part in results if part["type"] == "tool_result"] == ["done"]


def test_process_that_slept_while_another_went_on_shows_nothing_and_begins_no_tool(
    postgres_server: PostgresServer, redis_server: RedisServer, tmp_path: Path
):
    with (
        deployed(postgres_server, redis_server, tmp_path) as deaths,
        deaths.serve("a", "continue") as sleeping,
        deaths.serve("b", "continue") as awake,
    ):
        asked = deaths.read(sleeping, "POST", "/api/chat", json=question("asleep"))
        asked.wait_for(b"start-step")
        beside = deaths.follow(awake, "asleep")
        beside.wait_for(b"start-step")
        sleeping.process.send_signal(signal.SIGSTOP)
        assert kinds(beside.whole())[-1] == "finish"
        # The rest of what the model had said waits in its socket.
        deaths.upstream.requests[0].go_on()
        deaths.upstream.requests[0].wait()
        sleeping.process.send_signal(signal.SIGCONT)
        saved = awake.client.get("/api/chats/asleep").json()["messages"][-1]
        assert built(asked.whole()) == built(beside.seen) == saved["parts"]
        assert len(deaths.calls.read_text().splitlines()) == 1


def test_answers_that_go_on_count_for_those_who_asked(
    postgres_server: PostgresServer, redis_server: RedisServer, tmp_path: Path
):
    limits = {"USECHAT_API_KEYS": "the-key", "USECHAT_ANSWERS_EACH": "1"}

    def asker(address: str) -> dict[str, str]:
        return {"authorization": "Bearer the-key", "x-forwarded-for": address}

    with (
        deployed(postgres_server, redis_server, tmp_path) as deaths,
        deaths.serve("a", "continue", **limits) as dying,
        deaths.serve("b", "continue", **limits) as living,
    ):
        for words, address in ASKERS.items():
            asked = deaths.read(dying, "POST", "/api/chat", json=question(words), headers=asker(address))
            asked.wait_for(shown_of(words))
        beside = [
            deaths.read(living, "GET", f"/api/chat/{words}/stream", headers=asker(address))
            for words, address in ASKERS.items()
        ]
        for reading, words in zip(beside, ASKERS, strict=True):
            reading.wait_for(shown_of(words))
        kill(dying)
        # Both go on, though all processes together make no more for one address.
        asyncio.run(eventually(lambda: len(deaths.model.asked) == 4))

        def ask_more(address: str) -> int:
            body = question("from a third")
            return living.client.post("/api/chat", json=body, headers=asker(address), timeout=PATIENCE).status_code

        assert [ask_more(address) for address in [*ASKERS.values(), "192.0.2.3"]] == [429, 429, 200]
        for request in deaths.upstream.requests[2:4]:
            request.go_on()
        for reading in beside:
            assert kinds(reading.whole())[-1] == "finish"
        for address in ASKERS.values():
            asyncio.run(eventually(lambda address=address: ask_more(address) == 200))
