"""Real clients that send to a chat which is being answered: ``USECHAT_ON_BUSY``, with one server and with two."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
import pytest

from tests.clients.test_many_tabs import text_of
from tests.clients.visits import MAJORS, RELEASES
from tests.integration.running_server import run
from tests.support.backend import Backend
from tests.support.node import NodeProgram
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.timeout(300)

_DRIVER = Path(__file__).parent / "many_tabs.mjs"
WITHIN: Final = 100.0
MODES: Final = ("enqueue", "interrupt")

Message: TypeAlias = dict[str, Any]


class Busy:
    """A chat at servers of one mode, and the tabs of one major that are at it."""

    def __init__(self, urls: list[str], program: NodeProgram, major: int, chat_id: str) -> None:
        self.urls = urls
        self.program = program
        self.major = major
        self.chat_id = chat_id

    def act(self, name: str, kind: str, at: int = 0, **step: Any) -> Future[Any]:
        """Have a tab do something at one of the servers."""
        headers = {"x-usechat-sdk": RELEASES[self.major]} if self.major in RELEASES else {}
        url = self.urls[at % len(self.urls)]
        place = {"url": url, "chatId": self.chat_id, "headers": headers, "body": {}, "goesOn": False}
        step = {"kind": kind, "fault": None, "awaits": "end", "at": 0, "approved": True, **step}
        return self.program.start("act", name=f"{self.chat_id} {name}", place=place, **step)

    def open(self, *names: str) -> None:
        """Open tabs, each at another server."""
        for at, name in enumerate(names):
            self.act(name, "settle", at).result(WITHIN)

    def chat(self) -> Message:
        """Return the chat as the last server has it, when it is not being answered."""
        until = time.monotonic() + WITHIN
        while (chat := self.get()).get("isAnswering"):
            assert time.monotonic() < until
            time.sleep(0.05)
        return chat

    def get(self) -> Message:
        """Return the chat as it is now."""
        return httpx.get(f"{self.urls[-1]}/api/chats/{self.chat_id}", timeout=60).json()

    def begin(self, name: str, text: str) -> None:
        """Have a tab ask, and wait until it is being answered, or has been on a machine that does much else."""
        before = len(self.get().get("messages", ()))
        self.act(name, "send", text=text, awaits="request").result(WITHIN)
        until = time.monotonic() + WITHIN
        while not (chat := self.get()).get("isAnswering") and len(chat.get("messages", ())) < before + 2:
            assert time.monotonic() < until
            time.sleep(0.02)

    def statuses(self) -> list[str]:
        """Return how the answers on the shown path ended."""
        exported = httpx.get(f"{self.urls[-1]}/api/chats/{self.chat_id}/export", timeout=60).json()
        of = {one["message"]["id"]: one["details"]["status"] for one in exported["tree"]}
        return [of[one["id"]] for one in self.chat()["messages"] if one["role"] == "assistant"]


@pytest.fixture(scope="module", params=["one server", "two servers"])
def busy(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
    postgres_server: PostgresServer,
) -> Iterator[dict[tuple[str, int], Busy]]:
    """A chat for each mode and major."""
    folder = tmp_path_factory.mktemp("busy")
    is_alone = request.param == "one server"
    with ExitStack() as stack:
        programs: dict[int, NodeProgram] = {}
        for major in MAJORS:
            programs[major] = NodeProgram(_DRIVER, "--major", str(major), log=folder / f"page-{major}")
            stack.callback(programs[major].close)
        chats: dict[tuple[str, int], Busy] = {}
        for mode in MODES:
            database = f"sqlite:///{folder}/{mode}.db" if is_alone else postgres_server.make_database()
            variables = {
                "USECHAT_MODEL": "demo",
                "USECHAT_HISTORY": "server",
                "USECHAT_ON_BUSY": mode,
                "USECHAT_DATABASE_URL": database,
                "TESTS_TOOL_RUNS": str(folder / "runs"),
                # An answer of some seconds: another tab asks meanwhile. Those that are interrupted would take minutes.
                "TESTS_PACE": "0.02",
                "TESTS_SLOW": "weather 1,weather 3" if mode == "interrupt" else "",
                **({} if is_alone else {"USECHAT_REDIS_URL": redis_server.url}),
            }
            if not is_alone:
                assert run(folder, ["migrate"], USECHAT_DATABASE_URL=database).returncode == 0
            urls: list[str] = []
            for number in range(1 if is_alone else 2):
                log = folder / f"log-{mode}-{number}"
                server = Backend("tests.clients.tabs_app:app", upstream="http://127.0.0.1:9", log=log, **variables)
                stack.callback(server.close)
                urls.append(server.url)
            for major in MAJORS:
                chats[mode, major] = Busy(urls, programs[major], major, f"{mode}-{major}-{is_alone}")
        yield chats


def check_enqueued(busy: Busy) -> None:
    busy.open("a", "b", "c")
    busy.begin("a", "weather 1")

    others = [busy.act(name, "send", at, text=f"weather {at + 1}") for at, name in enumerate("bc", 1)]
    told = [other.result(WITHIN) for other in others]

    assert [[status for status in one["statuses"] if status != 204] for one in told] == [[200], [200]]
    messages = busy.chat()["messages"]
    asked = [text_of(one) for one in messages if one["role"] == "user"]
    assert [one["role"] for one in messages] == ["user", "assistant"] * 3
    assert (asked[0], sorted(asked[1:])) == ("weather 1", ["weather 2", "weather 3"])
    assert busy.statuses() == ["whole"] * 3
    # Each tab shows the answer to its own question.
    saved = {text_of(question): text_of(answer) for question, answer in zip(messages[::2], messages[1::2], strict=True)}
    for one in told:
        question, answer = one["messages"][-2:]
        assert text_of(answer) == saved[text_of(question)] != ""
    first = busy.act("a", "settle").result(WITHIN)["messages"]
    assert text_of(first[-1]) == saved["weather 1"]


def check_interrupted(busy: Busy) -> None:
    busy.open("a", "b")
    busy.begin("a", "weather 1")

    told = busy.act("b", "send", 1, text="weather 2").result(WITHIN)

    assert [status for status in told["statuses"] if status != 204] == [200]
    messages = busy.chat()["messages"]
    assert [text_of(one) for one in messages if one["role"] == "user"] == ["weather 1", "weather 2"]
    assert busy.statuses()[-1] == "whole"
    assert text_of(told["messages"][-1]) == text_of(messages[-1]) != ""
    stopped = busy.act("a", "settle").result(WITHIN)["messages"]
    assert busy.statuses()[0] == "aborted"
    # What its reader saw is what is saved.
    assert text_of(stopped[-1]) == (text_of(messages[1]) if len(stopped) > 1 else "weather 1")


def check_stopped_and_sent(busy: Busy) -> None:
    """A page that resumes its chats: the answer that it left would go on for half a minute."""
    busy.begin("a", "weather 3")

    told = busy.act("a", "stopAndSend", text="weather 4").result(WITHIN)

    assert told["statuses"][-1] == 200
    assert text_of(told["messages"][-2]) == "weather 4"
    assert [text_of(one) for one in busy.chat()["messages"] if one["role"] == "user"][-2:] == ["weather 3", "weather 4"]
    assert busy.statuses()[-1] == "whole"


def of_all(busy: dict[tuple[str, int], Busy], mode: str, check: Callable[[Busy], None]) -> None:
    """Check with each major's client."""
    chats = [busy[mode, major] for major in MAJORS]
    with ThreadPoolExecutor(len(chats)) as pool:
        for held in [pool.submit(check, chat) for chat in chats]:
            held.result()


def test_messages_of_other_tabs_are_answered_next(busy: dict[tuple[str, int], Busy]):
    of_all(busy, "enqueue", check_enqueued)


def test_message_interrupts_the_answer_of_another_tab_and_of_its_own(busy: dict[tuple[str, int], Busy]):
    of_all(busy, "interrupt", check_interrupted)
    of_all(busy, "interrupt", check_stopped_and_sent)
