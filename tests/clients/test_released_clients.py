"""Released versions of the AI SDK's client read our streams: nothing is refused, and the message is the right one.

Each version once without a word about itself, as most are in the field; once with its version in the request's header,
which gets it all that it knows; and those that say it, with what they say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.cases import CASES, Case
from tests.clients.expected import is_covered, shown_by
from tests.support.backend import Backend
from tests.support.node import NodeProgram
from usechat.testing.replay import ReplayServer

VERSIONS = (
    *("4.3.19", "5.0.0", "5.0.60", "5.0.92", "5.0.216", "5.0.277"),
    *("6.0.0", "6.0.230", "6.0.324", "7.0.0", "7.0.31", "7.0.173"),
)


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


PAIRS = [(version, case) for version in VERSIONS for case in CASES if numbers(version) >= case.since]
PAIR_NAMES = [f"{version}-{case.name}" for version, case in PAIRS]

# Where a browser lets a page set the header, these tell their version in it.
TOLD = [(version, case) for version, case in PAIRS if version in ("5.0.60", "5.0.92", "6.0.0")]


@pytest.mark.parametrize("is_named", [False, True], ids=["auto", "named"])
@pytest.mark.parametrize(("version", "case"), PAIRS, ids=PAIR_NAMES)
def test_the_client_shows_what_it_should(
    version: str,
    case: Case,
    is_named: bool,
    backend: Backend,
    upstream: ReplayServer,
    client_of: Callable[[str], NodeProgram],
):
    asked_before = len(upstream.requests)
    headers = {"user-agent": "a browser", **({"x-usechat-sdk": version} if is_named else {})}
    state = hold(client_of(version), backend, case, headers)

    assert_outcome(state, case, version, is_known=is_named)
    for request in upstream.requests[asked_before:]:
        request.wait_over()
        assert request.is_aborted == case.leaves


@pytest.mark.parametrize(("version", "case"), TOLD, ids=[f"{version}-{case.name}" for version, case in TOLD])
def test_a_client_that_tells_its_version_gets_all_it_knows(
    version: str, case: Case, backend: Backend, client_of: Callable[[str], NodeProgram]
):
    assert_outcome(hold(client_of(version), backend, case, {}), case, version, is_known=True)


@pytest.mark.parametrize("version", [version for version in VERSIONS if version[0] != "4"])
def test_only_a_client_that_is_known_to_be_7_gets_custom_parts(
    version: str, backend: Backend, client_of: Callable[[str], NodeProgram]
):
    case = next(case for case in CASES if case.name == "text")
    kinds: list[list[str]] = []
    for headers in ({"user-agent": "a browser"}, {"x-usechat-sdk": version}):
        parts = parts_of_answer(hold(client_of(version), backend, case, headers))
        kinds.append([part["kind"] for part in parts if part["type"] == "custom"])

    assert kinds == [[], ["anthropic.message_start"] if version[0] == "7" else []]


def hold(client: NodeProgram, backend: Backend, case: Case, headers: dict[str, str]) -> Any:
    """Hold the conversation; what the client shows in the end."""
    backend.check()
    scenario = {**case.scenario.to_json(0), "model": case.name}
    return client.ask("run", url=backend.url, headers=headers, scenario=scenario)["state"]


def assert_outcome(state: Any, case: Case, version: str, *, is_known: bool) -> None:
    error = case.expected_error(numbers(version))
    assert (state["status"], state["error"]) == ("error" if error else "ready", error)
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
