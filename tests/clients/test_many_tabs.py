"""Tabs of the real clients that are at one chat at once, on networks that lose requests and answers.

What a tab does next is drawn; RESUME_SEED draws the same again. After each step the whole chat is read. Nothing that
was once in it is lost or changed but by the run that owns it, no tool runs twice, no question has more answers than
were asked for, what is refused is refused in words that docs/chats.md has, and all tabs that load the chat show the
same.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
import pytest

from tests.clients.visits import MAJORS, RELEASES, SEED
from tests.integration.running_server import run
from tests.support.backend import Backend
from tests.support.node import NodeProgram
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.timeout(300)

_DRIVER = Path(__file__).parent / "many_tabs.mjs"
DEPLOYMENTS: Final = ("one process", "two processes")
HISTORIES: Final = ("client", "server")
CHATS: Final = 1
"""Of each major, with each deployment and history."""
STEPS: Final = 18
WITHIN: Final = 100.0
KINDS: Final = {
    "send": 5,
    "decide": 6,
    "regenerate": 3,
    "edit": 2,
    "editAndRegenerate": 2,
    "tryAgain": 2,
    "repeat": 3,
    "stop": 1,
    "reload": 3,
}
"""What people do, and how often."""
FAULTS: Final = (None, None, None, "never sent", "lost", "lost, sent again", "cut")
REFUSALS: Final = {
    (409, "This was answered otherwise meanwhile. Load the chat again."),
    (409, "This chat has moved on. Load it again."),
    (409, "This chat has changed meanwhile. Load it again."),
    (409, "This chat is being answered already."),
    (409, "This chat is being answered."),
}
GOES_ON: Final = {
    "approval-requested": {"approval-responded", "output-available", "output-denied", "output-error"},
    "approval-responded": {"output-available", "output-denied", "output-error"},
}
"""What may become of a call that is open."""

Message: TypeAlias = dict[str, Any]
PageOf: TypeAlias = Callable[[int], NodeProgram]


@dataclass(frozen=True)
class Deployment:
    """Servers of the same chats."""

    urls: Sequence[str]
    runs: Path
    """The calls whose tool ran, one a line."""


@dataclass
class ManyTabs:
    """A chat, the tabs that are at it, and all that was ever seen of it."""

    chat_id: str
    major: int
    servers: Deployment
    page_of: PageOf
    source: random.Random
    seen: dict[int, Message] = field(default_factory=dict[int, Message])
    asked: Counter[str] = field(default_factory=Counter[str])
    """How many answers were asked for, by what the user said."""
    undecided: set[str] = field(default_factory=set[str])
    """The tabs that showed a call to be approved when they were looked at last."""
    steps: list[str] = field(default_factory=list[str])

    def hold(self) -> None:
        """Do what is drawn, and see what must hold."""
        tabs = [f"tab {number}" for number in range(self.source.choice([2, 3]))]
        with httpx.Client(timeout=60) as client:
            try:
                for number in range(STEPS):
                    self.step(tabs, number)
                    self.check_tree(client)
                self.check_end(client, tabs)
            except Exception as error:
                stored = [sketch(one) for one in self.seen.values()]
                error.add_note("\n".join([f"RESUME_SEED={SEED} {self.chat_id}", *self.steps, *stored]))
                raise

    def step(self, tabs: Sequence[str], number: int) -> None:
        name = self.source.choice(tabs)
        [kind] = self.source.choices([*KINDS], [*KINDS.values()])
        is_keen = self.source.random() < 0.6
        step = {
            "kind": "decide" if is_keen and name in self.undecided else kind,
            "fault": self.source.choice(FAULTS),
            "awaits": self.source.choice(["end", "end", "request"]),
            "at": self.source.randrange(10),
            "approved": self.source.random() < 0.7,
            "text": f"{self.source.choice(['approval', 'approval', 'approval', 'weather'])} {number}",
        }
        self.steps.append(f"{name}: {step}")
        messages = self.act(name, step)
        parts: list[Message] = messages[-1]["parts"] if messages else []
        is_asked = any(part.get("state") == "approval-requested" for part in parts)
        (self.undecided.add if is_asked else self.undecided.discard)(name)

    def act(self, name: str, step: Mapping[str, Any]) -> list[Message]:
        url = self.servers.urls[self.source.randrange(len(self.servers.urls))]
        headers = {"x-usechat-sdk": RELEASES[self.major]} if self.major in RELEASES else {}
        # AI SDK 4 and 5 have no approvals to go on after.
        place = {"url": url, "chatId": self.chat_id, "headers": headers, "body": {}, "goesOn": self.major > 5}
        began = time.monotonic()
        told = self.page_of(self.major).start("act", name=f"{self.chat_id} {name}", place=place, **step).result(WITHIN)
        self.steps.append(f"    {told['statuses']} {told['refusals']} {time.monotonic() - began:.1f} s")
        for refusal in told["refusals"]:
            assert (refusal["status"], json.loads(refusal["body"])["detail"]) in REFUSALS
        assert {*told["statuses"]} <= {200, 204, 409}
        for post in told["posts"]:
            body, is_repeated = post["body"], post["isRepeated"]
            said = [f"{one['role']} {text_of(one)[:12]!r} {one.get('id')}" for one in body["messages"]]
            self.steps.append(
                f"    {'again ' if is_repeated else ''}{body.get('trigger')} {body.get('messageId')} {said}"
            )
            self.count(body, is_repeated=is_repeated)
        return told["messages"]

    def count(self, body: Message, *, is_repeated: bool) -> None:
        is_regeneration = body.get("trigger") == "regenerate-message"
        messages: list[Message] = body["messages"]
        # A page that was loaded before anything was said may hold an answer alone.
        question = next((one for one in reversed(messages) if one["role"] == "user"), None)
        if question is None:
            return
        # A try without ids cannot be told from a wish for another answer, nor can a second regeneration.
        is_wish = not is_repeated or body.get("trigger") != "submit-message"
        if is_wish and (is_regeneration or messages[-1] is question):
            self.asked[text_of(question)] += 1

    def check_tree(self, client: httpx.Client) -> list[Message]:
        """See that all is there that ever was; return it."""
        response = client.get(f"{self.servers.urls[0]}/api/chats/{self.chat_id}/export")
        assert response.status_code in (200, 404), response.text
        tree: list[Message] = response.json()["tree"] if response.status_code == 200 else []
        assert [one["place"]["node"] for one in tree] == list(range(len(tree)))
        assert len(tree) >= len(self.seen)
        for number, was in self.seen.items():
            check_kept(was, tree[number])
        for one in tree:
            place = one["place"]
            same = [other["place"]["node"] for other in tree if other["place"]["parent"] == place["parent"]]
            assert place["siblings"] == same
            assert same[place["index"]] == place["node"]
        self.seen = dict(enumerate(tree))
        return tree

    def check_end(self, client: httpx.Client, tabs: Sequence[str]) -> None:
        for name in tabs:
            self.act(name, {"kind": "settle"})
        # A request of a tab that was closed meanwhile may have waited for the answer before it.
        until, before, shown = time.monotonic() + WITHIN, None, self.await_end(client)
        loaded: list[list[Message]] = []
        others: list[Message] = []
        while before != shown or any(other != shown for other in others):
            assert time.monotonic() < until, "servers and tabs that never show the same"
            loaded = [self.act(name, {"kind": "reload"}) for name in tabs]
            before, shown = shown, self.await_end(client)
            others = [client.get(f"{url}/api/chats/{self.chat_id}").json() for url in self.servers.urls]
        for messages in loaded:
            assert [*map(text_of, messages)] == [*map(text_of, shown.get("messages", []))]
        tree = self.check_tree(client)
        self.check_tools(tree)
        self.check_answers(tree)

    def await_end(self, client: httpx.Client) -> Message:
        """Return the chat when it has no answer in the making."""
        until = time.monotonic() + WITHIN
        while (chat := client.get(f"{self.servers.urls[0]}/api/chats/{self.chat_id}").json()).get("isAnswering"):
            assert time.monotonic() < until, "an answer that never ends"
            time.sleep(0.1)
        return chat

    def check_tools(self, tree: Sequence[Message]) -> None:
        """See that no tool ran twice, and that the chat says of each that it ran."""
        ran = Counter(self.servers.runs.read_text().split() if self.servers.runs.exists() else ())
        assert max(ran.values(), default=0) <= 1
        calls = [part for one in tree for part in one["message"]["parts"] if part.get("type") == "tool-send_email"]
        told = {part["toolCallId"] for part in calls if part["state"] == "output-available"}
        assert {part["toolCallId"] for part in calls} & {*ran} <= told

    def check_answers(self, tree: Sequence[Message]) -> None:
        """See that nothing was answered more often than somebody wished."""
        said = {one["place"]["node"]: text_of(one["message"]) for one in tree if one["message"]["role"] == "user"}
        answers = [one for one in tree if one["message"]["role"] == "assistant"]
        # Copies on other paths have the same id. A page that was loaded before an answer was made anew, and asked for
        # the stream after that, has both answers in a row.
        whole = {(said.get(one["place"]["parent"]), one["message"]["id"]) for one in answers if is_whole(one)}
        assert Counter(text for text, _ in whole if text is not None) <= self.asked
        beside = [(one["place"]["parent"], one["message"]["id"]) for one in answers]
        assert len({*beside}) == len(beside)


def sketch(one: Message) -> str:
    """Return a saved message in a line."""
    place, message = one["place"], one["message"]
    at = f"{place['parent']} -> {place['node']}"
    return f"{at}: {message['role']} {text_of(message)[:12]!r} {message['id']} {one['details']['status']}"


def is_whole(one: Message) -> bool:
    return one["details"]["status"] == "whole"


def check_kept(was: Message, now: Message) -> None:
    """See that a message is what it was, but for what its own run adds."""
    assert now["place"]["parent"] == was["place"]["parent"]
    before, after = was["message"], now["message"]
    assert {**after, "parts": 0, "metadata": 0} == {**before, "parts": 0, "metadata": 0}
    assert len(after["parts"]) >= len(before["parts"])
    for old, new in zip(before["parts"], after["parts"], strict=False):
        if new != old:
            assert new["state"] in GOES_ON.get(old.get("state"), ()), (old, new)
            assert (new["toolCallId"], new["input"]) == (old["toolCallId"], old["input"])


def text_of(message: Message) -> str:
    parts: list[Message] = message.get("parts") or [{"type": "text", "text": message.get("content")}]
    return "".join(part["text"] for part in parts if part["type"] == "text")


@pytest.fixture(scope="module")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageOf]:
    """The program of a major's tabs."""
    logs = tmp_path_factory.mktemp("pages")
    with ExitStack() as stack:

        def start(major: int) -> NodeProgram:
            program = NodeProgram(_DRIVER, "--major", str(major), log=logs / str(major))
            stack.callback(program.close)
            return program

        programs = {major: start(major) for major in MAJORS}
        yield programs.__getitem__


@pytest.fixture(scope="module")
def deploy(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer, postgres_server: PostgresServer
) -> Iterator[Callable[[str, str], Deployment]]:
    """Start the servers of a deployment that hold the history in a way."""
    with ExitStack() as stack:

        def start(name: str, history: str) -> Deployment:
            folder = tmp_path_factory.mktemp("servers")
            is_alone = name == DEPLOYMENTS[0]
            database = f"sqlite:///{folder}/chats.db" if is_alone else postgres_server.make_database()
            variables = {
                "USECHAT_MODEL": "demo",
                "USECHAT_HISTORY": history,
                "USECHAT_DATABASE_URL": database,
                "USECHAT_APPROVAL_SECRET": "a secret that both of them have",
                "TESTS_TOOL_RUNS": str(folder / "runs"),
                **({} if is_alone else {"USECHAT_REDIS_URL": redis_server.url}),
            }
            if not is_alone:
                migrated = run(folder, ["migrate"], USECHAT_DATABASE_URL=database)
                assert migrated.returncode == 0, migrated.stderr
            urls: list[str] = []
            for number in range(1 if is_alone else 2):
                log = folder / f"log-{number}"
                server = Backend("tests.clients.tabs_app:app", upstream="http://127.0.0.1:9", log=log, **variables)
                stack.callback(server.close)
                urls.append(server.url)
            return Deployment(urls, folder / "runs")

        yield cache(start)


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_nothing_is_lost_whatever_tabs_do(
    deployment: str, history: str, deploy: Callable[[str, str], Deployment], page_of: PageOf
) -> None:
    servers = deploy(deployment, history)
    first = f"{deployment.split(maxsplit=1)[0]}-{history}"
    names = {f"{first}-{number}-{major}": major for number in range(CHATS) for major in MAJORS}
    chats = [ManyTabs(name, major, servers, page_of, random.Random(f"{SEED} {name}")) for name, major in names.items()]
    with ThreadPoolExecutor(len(chats)) as pool:
        held = [pool.submit(chat.hold) for chat in chats]
    for chat in held:
        chat.result()
