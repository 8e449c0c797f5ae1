"""Released versions of the AI SDK's client read our streams: nothing is refused, and the message is the right one.

Each version once without a word about itself, as most are in the field; once with its version in the request's header,
which gets it all that it knows; the first and the last of each major with the major alone; and those that say it by
themselves, with what they say. An ordinary run gives each case to one release of each major, in turn; `--thorough`
gives it to all.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import pytest

from tests.clients.cases import CASES, Case, Version
from tests.clients.expected import is_covered, shown_by
from tests.support.backend import Backend
from tests.support.node import NodeProgram
from usechat.testing.replay import ReplayServer

Clients: TypeAlias = Callable[[str], NodeProgram]

VERSIONS = (
    *("4.3.19", "5.0.0", "5.0.60", "5.0.92", "5.0.216", "5.0.277"),
    *("6.0.0", "6.0.230", "6.0.324", "7.0.0", "7.0.31", "7.0.173"),
)
TELLING = ("5.0.60", "5.0.92", "6.0.0")
"""Versions that name themselves in the user agent, where a browser lets a page set it."""
OF_A_MAJOR = ("4.3.19", "5.0.0", "5.0.277", "6.0.0", "6.0.324", "7.0.0", "7.0.173")
OLDEST = ("5.0.0", "6.0.0", "7.0.0")
ERROR_ID = re.compile(r"\(error [0-9a-f]{8}\)")
IN_A_BROWSER = {"user-agent": "a browser"}


def numbers(version: str) -> Version:
    return tuple(map(int, version.split(".")))


PAIRS = [(version, case) for version in VERSIONS for case in CASES if numbers(version) >= case.since]


def for_each(pairs: list[tuple[str, Case]], *, first: int = 0, always: Collection[str] = ()) -> pytest.MarkDecorator:
    """Have a test take pairs.

    Args:
        pairs: Of a release and what it is shown.
        first: With which release of a major the turns begin.
        always: The releases that are shown each case in an ordinary run, too.
    """
    ordinary: set[tuple[str, str]] = set()
    for turn, case in enumerate(CASES, first):
        of_majors: defaultdict[str, list[str]] = defaultdict(list)
        for version, shown in pairs:
            if shown is case:
                of_majors[version[0]].append(version)
        ordinary |= {(releases[turn % len(releases)], case.name) for releases in of_majors.values()}
    parameters = [
        pytest.param(
            version,
            case,
            id=f"{version}-{case.name}",
            marks=() if version in always or (version, case.name) in ordinary else pytest.mark.thorough,
        )
        for version, case in pairs
    ]
    return pytest.mark.parametrize(("version", "case"), parameters)


# The oldest of a major refuse what none of them knew.
@for_each(PAIRS, always=OLDEST)
def test_a_client_of_unknown_version_understands(version: str, case: Case, backend: Backend, client_of: Clients):
    state = hold(client_of(version), backend, case, IN_A_BROWSER)

    assert_outcome(state, case, version, is_known=False)


@for_each(PAIRS, first=1)
def test_a_client_named_in_the_request_gets_all_it_knows(
    version: str, case: Case, backend: Backend, client_of: Clients
):
    state = hold(client_of(version), backend, case, {**IN_A_BROWSER, "x-usechat-sdk": version})

    assert_outcome(state, case, version, is_known=True)


@for_each([pair for pair in PAIRS if pair[0] in OF_A_MAJOR])
def test_a_client_named_by_its_major_understands(version: str, case: Case, backend: Backend, client_of: Clients):
    state = hold(client_of(version), backend, case, {**IN_A_BROWSER, "x-usechat-sdk": version[0]})

    assert_outcome(state, case, version, is_known=version[0] != "4")


@for_each([pair for pair in PAIRS if pair[0] in TELLING])
def test_a_client_that_tells_its_version_gets_all_it_knows(
    version: str, case: Case, backend: Backend, client_of: Clients
):
    assert_outcome(hold(client_of(version), backend, case, {}), case, version, is_known=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_model_is_left_when_the_client_leaves(
    version: str, backend: Backend, upstream: ReplayServer, client_of: Clients
):
    hold(client_of(version), backend, case_named("stop"), IN_A_BROWSER)
    asked = upstream.requests[-1]
    asked.wait()

    assert asked.is_aborted


@pytest.mark.parametrize("version", [version for version in VERSIONS if version[0] != "4"])
def test_only_a_client_that_is_known_to_be_7_gets_custom_parts(version: str, backend: Backend, client_of: Clients):
    kinds: list[list[str]] = []
    for headers in (IN_A_BROWSER, {"x-usechat-sdk": version}):
        parts = parts_of_answer(hold(client_of(version), backend, case_named("text"), headers))
        kinds.append([part["kind"] for part in parts if part["type"] == "custom"])

    assert kinds == [[], ["anthropic.message_start"] if version[0] == "7" else []]


def case_named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def hold(client: NodeProgram, backend: Backend, case: Case, headers: dict[str, str]) -> Any:
    """Hold the conversation; what the client shows in the end."""
    backend.check()
    scenario = {**case.scenario.to_json(0), "model": case.name}
    return client.ask("run", url=backend.url, headers=headers, scenario=scenario)["state"]


def assert_outcome(state: Any, case: Case, version: str, *, is_known: bool) -> None:
    error = case.expected_error(numbers(version))
    shown = state["error"] and ERROR_ID.sub("(error ID)", state["error"])
    assert (state["status"], shown) == ("error" if error else "ready", error)
    wanted = shown_by(numbers(version)[0], case.expected_parts(numbers(version), is_known=is_known))
    got = [part for part in parts_of_answer(state) if not is_of_the_model(part)]
    assert is_covered(wanted, got), f"wanted {wanted}, got {got}"
    assert state["messages"][-1].get("metadata") == case.metadata
    assert [event["onData"]["data"] for event in state["events"] if "onData" in event] == list(case.data)


def parts_of_answer(state: Any) -> list[Any]:
    last = state["messages"][-1]
    return last["parts"] if last["role"] == "assistant" else []


def is_of_the_model(part: Any) -> bool:
    """Whether it is one of the parts in which AI SDK 7 tells what the provider said of its answer as a whole."""
    return part["type"] == "custom" and part["kind"].startswith("anthropic.")
