"""The two sides of a comparison: the real AI SDK's backend of each major and ours, held conversations with.

Each side asks a stand-in of its own for the Messages API, which knows by the model's name what to answer.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cache
from http.client import IncompleteRead
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.request import Request, urlopen

from tests.conformance.compare import Conversation, without_prefix
from tests.conformance.replies import answer
from tests.conformance.scenario import MAJORS, NEWEST, Scenario
from tests.conformance.scenarios import ANSWERED_WITH_NOTHING, REFUSED, REFUSED_AND_ANSWERED_WITH_NOTHING, SCENARIOS
from tests.support.backend import Backend
from tests.support.node import NodeProgram
from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply

__all__ = ["JS", "OUR_APP", "Side", "Sides", "reply_of_request", "reply_of_turn"]

Side: TypeAlias = Literal["theirs", "ours"]

JS = Path(__file__).parent / "js"
OUR_APP = "tests.conformance.app:app"
_OURS_ALONE = (ANSWERED_WITH_NOTHING, REFUSED, REFUSED_AND_ANSWERED_WITH_NOTHING)
_BY_MODEL = {scenario.model(major): scenario for scenario in (*SCENARIOS, *_OURS_ALONE) for major in MAJORS}


class Sides:
    """Clients, backends and stand-ins of one session.

    Args:
        logs: Where the programs' output goes.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._stack = ExitStack()
        self._their_upstream = self._stack.enter_context(ReplayServer(reply_of_request))
        self._our_upstream = self._stack.enter_context(ReplayServer(reply_of_request))
        self._ours = Backend(OUR_APP, upstream=self._our_upstream.url, log=logs / "ours.log")
        self._stack.callback(self._ours.close)
        self.client = cache(self._start_client)
        """The client of a major, a program."""
        self.oracle = cache(self._start_oracle)
        """The real backend of a major, a program, and its address."""
        self.theirs = cache(self._hold_with_theirs)
        """What came of a scenario with the real backend of a major."""
        self.moving = cache(self._hold_moving)
        """What came of a scenario's first message, with a major, where it is said again in each turn, each answered by
        the backend named."""

    def close(self) -> None:
        """End all programs."""
        self._stack.close()

    def both(self, major: int, scenario: Scenario) -> tuple[Conversation, Conversation]:
        """What came of a scenario: with the real backend, and with ours."""
        self._ours.check()
        before = len(self._our_upstream.requests)
        started = self._start(major, scenario, f"{self._ours.url}/v{major}")
        theirs = self.theirs(major, scenario.name)
        return theirs, self._finish(started, scenario.model(major), self._our_upstream, since=before)

    def asked_by_newest(self, ours: Conversation, model: str) -> Conversation:
        """What the newest SDK's backend asks the model when it is sent the requests that ours was sent."""
        _, url = self.oracle(NEWEST)
        before = len(self._their_upstream.requests)
        for exchange in ours.exchanges:
            _post(f"{url}{without_prefix(exchange['path'])}", exchange["body"])
        return self._conversation({"state": {}, "exchanges": []}, model, self._their_upstream, since=before)

    def with_guess(self, major: int, scenario: Scenario, *, is_named: bool = False) -> Conversation:
        """What came of a scenario with our backend alone, which is told the client's version or is not."""
        self._ours.check()
        before = len(self._our_upstream.requests)
        started = self._start(major, scenario, f"{self._ours.url}/v{major}" if is_named else self._ours.url)
        return self._finish(started, scenario.model(major), self._our_upstream, since=before)

    def over_socket(self, scenario: Scenario) -> Conversation:
        """What came of a scenario with our backend, over the WebSocket of the newest major."""
        self._ours.check()
        before = len(self._our_upstream.requests)
        started = self._start(NEWEST, replace(scenario, socket=True), f"{self._ours.url}/v{NEWEST}")
        return self._finish(started, scenario.model(NEWEST), self._our_upstream, since=before)

    def _hold_moving(self, major: int, name: str, turns: tuple[Side, ...]) -> Conversation:
        scenario = _BY_MODEL[f"scenario:{major}:{name}"]
        self._ours.check()
        urls: dict[Side, str] = {"theirs": self.oracle(major)[1], "ours": f"{self._ours.url}/v{major}"}
        flow = [step for turn in turns for step in ({"kind": "move", "url": urls[turn]}, scenario.flow[0])]
        upstreams = (self._their_upstream, self._our_upstream)
        before = [len(upstream.requests) for upstream in upstreams]
        held = self._start(major, replace(scenario, flow=flow), urls[turns[0]]).result(60)
        parts = [
            self._conversation(held, scenario.model(major), upstream, since=since)
            for upstream, since in zip(upstreams, before, strict=True)
        ]
        # Each question has the history of the one before, and more.
        asked = sorted((one for part in parts for one in part.asked), key=lambda body: len(body["messages"]))
        return replace(parts[0], asked=asked, left=[False] * len(asked))

    def _hold_with_theirs(self, major: int, name: str) -> Conversation:
        scenario = _BY_MODEL[f"scenario:{major}:{name}"]
        program, url = self.oracle(major)
        before = len(self._their_upstream.requests)
        started = self._start(major, scenario, url)
        return self._finish(started, scenario.model(major), self._their_upstream, program, since=before)

    def _start(self, major: int, scenario: Scenario, url: str) -> Future[Any]:
        return self.client(major).start("run", url=url, headers={}, scenario=scenario.to_json(major))

    def _finish(
        self,
        started: Future[Any],
        model: str,
        upstream: ReplayServer,
        program: NodeProgram | None = None,
        *,
        since: int,
    ) -> Conversation:
        return self._conversation(started.result(60), model, upstream, program, since)

    def _conversation(
        self,
        held: Mapping[str, Any],
        model: str,
        upstream: ReplayServer,
        program: NodeProgram | None = None,
        since: int = 0,
    ) -> Conversation:
        asked = [request for request in upstream.requests[since:] if request.json.get("model") == model]
        for request in asked:
            request.wait()
        return Conversation(
            state=held["state"],
            exchanges=held["exchanges"],
            asked=[{**request.json, "betas": _betas(request)} for request in asked],
            left=[request.is_aborted for request in asked],
            errors=program.ask("takeErrors") if program else (),
        )

    def _start_client(self, major: int) -> NodeProgram:
        log = self._logs / f"client-{major}.log"
        return self._keep(NodeProgram(JS / "client" / "main.mjs", "--major", str(major), log=log))

    def _start_oracle(self, major: int) -> tuple[NodeProgram, str]:
        arguments = ["--major", str(major), "--upstream", self._their_upstream.url]
        log = self._logs / f"oracle-{major}.log"
        program = self._keep(NodeProgram(JS / "oracle" / "main.mjs", *arguments, log=log))
        return program, program.ask("address")

    def _keep(self, program: NodeProgram) -> NodeProgram:
        self._stack.callback(program.close)
        return program


def _betas(request: ReplayedRequest) -> list[str]:
    named = request.headers.get("anthropic-beta", "")
    return sorted(name.strip() for name in named.split(",") if name.strip())


def _post(url: str, body: Any) -> None:
    request = Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urlopen(request, timeout=60) as response, suppress(IncompleteRead):
        response.read()


def reply_of_request(request: ReplayedRequest) -> Reply:
    """What the stand-in answers: the scenario is named by the model."""
    body = request.json
    return reply_of_turn(_BY_MODEL[body["model"]], body["messages"])


def reply_of_turn(scenario: Scenario, messages: list[Mapping[str, Any]]) -> Reply:
    """What the model answers next in this turn; the turn began with the last message that the user wrote."""
    answered = 0
    steered = {said["text"] for said in scenario.body.get("steering", ())}
    for message in reversed(messages):
        if message["role"] == "assistant":
            answered += 1
        elif _is_written(message["content"], steered):
            break
    return scenario.replies[answered] if answered < len(scenario.replies) else answer()


def _is_written(content: Any, steered: Collection[str]) -> bool:
    """Whether a message begins a turn: it is more than what tools brought and what was said within the turn."""
    return isinstance(content, str) or any(
        block["type"] != "tool_result" and block.get("text") not in steered for block in content
    )
