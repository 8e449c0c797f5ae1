"""Whoever leaves in the middle of an answer and comes back has it whole and once: real `useChat` hooks that resume.

Each major's hooks run in one node process, with chats side by side. Their pages are left at random chunks (reloads, in
the middle of tool calls too), opened twice, below React's StrictMode or not; at one server, and at two that share Redis
and PostgreSQL, where each reload meets the other one. What they show in the end is what an undisturbed page shows.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.clients.visits import (
    MAJORS,
    SEED,
    Outcome,
    Visit,
    plan_undisturbed,
    plan_visits,
    start_visit,
    without_ids,
)
from tests.integration.running_server import run, serving
from tests.support.node import NodeProgram
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.timeout(300)

_DRIVER = Path(__file__).parent / "resuming.mjs"
DEPLOYMENTS = ("one process", "two processes")
NOTHING_KEPT = "no chats are saved"
CUTS = 500
"""In all."""
ROUNDS = 10
"""The most: where the machine is busy, answers have ended before some of their cuts."""
WITHIN = 120.0


PageOf: TypeAlias = Callable[[int], NodeProgram]
Undisturbed: TypeAlias = Mapping[tuple[int, str], Outcome]
Visited: TypeAlias = dict[tuple[str, int], list[tuple[Visit, Outcome]]]


@pytest.fixture(scope="module")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageOf]:
    """The program of a major's pages."""
    logs = tmp_path_factory.mktemp("pages")
    with ExitStack() as stack:

        def start(major: int) -> NodeProgram:
            program = NodeProgram(_DRIVER, "--major", str(major), log=logs / str(major))
            stack.callback(program.close)
            return program

        yield cache(start)


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer, postgres_server: PostgresServer
) -> Iterator[Mapping[str, Sequence[str]]]:
    """The URLs of each deployment."""
    alone = {"USECHAT_MODEL": "demo"}
    together = {
        **alone,
        "USECHAT_REDIS_URL": redis_server.url,
        "USECHAT_DATABASE_URL": postgres_server.make_database(),
        "USECHAT_APPROVAL_SECRET": "a secret that both of them have",
    }
    migrated = run(tmp_path_factory.mktemp("migration"), ["migrate"], **together)
    assert migrated.returncode == 0, migrated.stderr
    with ExitStack() as stack:

        def start(**variables: str) -> str:
            server = stack.enter_context(serving(tmp_path_factory.mktemp("server"), **variables))
            return str(server.client.base_url).rstrip("/")

        running = dict(zip(DEPLOYMENTS, ([start(**alone)], [start(**together), start(**together)]), strict=True))
        yield {**running, NOTHING_KEPT: [start(**alone, USECHAT_DATABASE_URL="off")]}


@pytest.fixture(scope="module")
def undisturbed(page_of: PageOf, servers: Mapping[str, Sequence[str]]) -> Undisturbed:
    """What pages show that nobody leaves."""
    started = {
        (major, visit.topic): start_visit(page_of(major), servers[DEPLOYMENTS[0]], major, visit.chat_id, visit.flow())
        for major in MAJORS
        for visit in plan_undisturbed(major)
    }
    return {which: Outcome(**future.result(WITHIN)) for which, future in started.items()}


@pytest.fixture(scope="module")
def visited(page_of: PageOf, servers: Mapping[str, Sequence[str]], undisturbed: Undisturbed) -> Visited:
    """What became of everybody who left and came back."""
    source = random.Random(SEED)
    visited: Visited = {(name, major): [] for name in DEPLOYMENTS for major in MAJORS}
    for number in range(ROUNDS):
        started = {
            (name, major): [
                (visit, start(page_of(major), servers[name], major, visit, undisturbed))
                for visit in plan_visits(f"{name.split()[0]}-{number}", major=major, source=source)
            ]
            for name, major in visited
        }
        for which, visits in started.items():
            visited[which] += [(visit, Outcome(**future.result(WITHIN))) for visit, future in visits]
        if count_cuts(visited) >= CUTS:
            break
    return visited


def start(program: NodeProgram, urls: Sequence[str], major: int, visit: Visit, undisturbed: Undisturbed) -> Future[Any]:
    flow = visit.flow(undisturbed[major, visit.topic].chunks)
    return start_visit(program, urls, major, visit.chat_id, flow, strict=visit.strict)


def count_cuts(visited: Visited) -> int:
    return sum(outcome.cuts for visits in visited.values() for _, outcome in visits)


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_whoever_comes_back_has_the_answer_whole_and_once(
    deployment: str, major: int, visited: Visited, undisturbed: Undisturbed
):
    for visit, outcome in visited[deployment, major]:
        told = f"RESUME_SEED={SEED} {visit} {outcome.statuses}"
        assert outcome.errors == [], told
        wanted = shown(major, undisturbed[major, visit.topic].messages)
        assert shown(major, outcome.messages) == wanted, told
        if outcome.other is not None:
            assert shown(major, outcome.other) == wanted, told


@pytest.mark.parametrize("major", [major for major in MAJORS if major >= 5])
@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_what_was_saved_is_what_is_shown(deployment: str, major: int, visited: Visited):
    for visit, outcome in visited[deployment, major]:
        told = f"RESUME_SEED={SEED} {visit}"
        assert without_decisions(major, outcome.saved) == without_decisions(major, outcome.messages), told


def test_readers_left_five_hundred_times(visited: Visited):
    assert count_cuts(visited) >= CUTS


def shown(major: int, messages: Any) -> Any:
    """What a page shows of messages, but for ids; of AI SDK 4's stored ones a page can show the text alone."""
    if major == 4:
        return [(message["role"], message["content"]) for message in messages]
    return without_decisions(major, without_ids(messages))


def without_decisions(major: int, messages: list[Any]) -> list[Any]:
    """Messages as AI SDK 6 can be told of them, which has no word for a decision about a tool."""
    if major != 6:
        return messages
    parts = [[{**part, "approval": None} for part in message["parts"]] for message in messages]
    return [{**message, "parts": told} for message, told in zip(messages, parts, strict=True)]


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("deployment", DEPLOYMENTS)
@pytest.mark.parametrize("where", ["in the tab that came back", "in another tab"])
def test_stop_ends_the_answer_in_every_tab_and_what_there_was_is_kept(
    where: str, deployment: str, major: int, page_of: PageOf, servers: Mapping[str, Sequence[str]]
):
    other = {"otherTabAt": 2} if where == "in another tab" else {}
    flow = [{"kind": "send", "text": "long", "cuts": [5], "stopAt": 10, **other}]
    outcome = hold(page_of(major), servers[deployment], major, f"stop-{where.split()[1]}", flow)

    assert (outcome.cuts, outcome.errors, outcome.stopped) == (1, [], {"stopped": True})
    (answer,) = texts_of(outcome.saved)
    assert texts_of(outcome.messages) == [answer]
    assert answer
    if other:
        assert outcome.other is not None
        assert texts_of(outcome.other) == [answer]


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_nothing_is_doubled_where_somebody_comes_back_after_the_end(
    deployment: str, major: int, page_of: PageOf, servers: Mapping[str, Sequence[str]]
):
    first = hold(page_of(major), servers[deployment], major, "ended", [{"kind": "send", "text": "tool"}])

    again = hold(page_of(major), servers[deployment], major, "ended", [{"kind": "look"}], strict=True)

    assert again.errors == []
    assert set(again.statuses) == {200 if major == 4 else 204}
    assert shown(major, again.messages) == shown(major, first.messages)


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("deployment", [*DEPLOYMENTS, NOTHING_KEPT])
def test_a_chat_that_nobody_knows_is_empty(
    deployment: str, major: int, page_of: PageOf, servers: Mapping[str, Sequence[str]]
):
    outcome = hold(page_of(major), servers[deployment], major, "unheard-of", [], strict=True)

    assert (outcome.messages, outcome.saved, outcome.errors) == ([], [], [])
    assert set(outcome.statuses) == {200 if major == 4 else 204}


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("deployment", DEPLOYMENTS)
@pytest.mark.parametrize("is_rendered", [True, False], ids=["rendered by a server", "loaded in the browser"])
@pytest.mark.parametrize("resumes", ["when it is answering", "after a question"])
def test_first_reload_of_a_page_that_asks_only_for_what_its_chat_tells_of_has_the_answer_whole_and_once(
    *,
    resumes: str,
    is_rendered: bool,
    deployment: str,
    major: int,
    page_of: PageOf,
    servers: Mapping[str, Sequence[str]],
    undisturbed: Undisturbed,
):
    name = f"first-{resumes.split(maxsplit=1)[0]}-{is_rendered}"
    flow = [{"kind": "send", "text": "progress", "cuts": [3]}]
    outcome = hold(page_of(major), servers[deployment], major, name, flow, resumes=resumes, isRendered=is_rendered)

    assert (outcome.cuts, outcome.errors) == (1, [])
    assert shown(major, outcome.messages) == shown(major, undisturbed[major, "progress"].messages)
    if major >= 5:
        assert without_decisions(major, outcome.saved) == without_decisions(major, outcome.messages)


def hold(
    program: NodeProgram, urls: Sequence[str], major: int, name: str, flow: Sequence[Mapping[str, Any]], **more: Any
) -> Outcome:
    """A visit of its own."""
    return Outcome(**start_visit(program, urls, major, f"{name}-{major}-{len(urls)}", flow, **more).result(WITHIN))


def texts_of(messages: Sequence[Any]) -> list[str]:
    """What each answer says."""
    return [
        "".join(part["text"] for part in message["parts"] if part["type"] == "text")
        for message in messages
        if message["role"] == "assistant"
    ]
