"""What `on_finish` gives to be saved is a message that the AI SDK's own `validateUIMessages` accepts.

So a TypeScript backend can go on with a chat that was saved by this one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from tests.conformance.scenario import Scenario
from tests.conformance.scenarios import SCENARIOS
from tests.conformance.sides import Sides, reply_of_request
from tests.support.backend import Backend
from usechat.testing.replay import ReplayServer

QUESTION = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
# A client of unknown version gets what all of them take: what is saved then must suit all of them, too.
READERS = {"auto": (5, 6, 7), "5": (5, 6, 7), "6": (6, 7), "7": (7,)}
STORED = [one for one in SCENARIOS if one.route == "chat" and not any(reply.hold_after for reply in one.replies)]
CASES = [
    # An ordinary run saves each for all clients, and for those of one major, in turn.
    pytest.param(
        sdk,
        scenario,
        id=f"{scenario.name}-{sdk}",
        marks=() if sdk in ("auto", "567"[turn % 3]) else pytest.mark.thorough,
    )
    for turn, scenario in enumerate(STORED)
    for sdk in READERS
]


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    log = tmp_path_factory.mktemp("saving") / "log"
    with ReplayServer(reply_of_request) as upstream:
        started = Backend("tests.conformance.saving_app:app", upstream=upstream.url, log=log)
        yield started
        started.close()


@pytest.mark.parametrize(("sdk", "scenario"), CASES)
def test_the_saved_message_is_valid(sdk: str, scenario: Scenario, backend: Backend, sides: Sides):
    backend.check()
    saved = answer_and_save(backend, sdk, scenario)
    if not saved["message"]["parts"]:
        # It failed before anything came, which AI SDK 5 can take for an empty answer: there is nothing to save.
        assert saved["failed"] or (sdk, scenario.name) == ("5", "not-a-stream")
        return
    for major in READERS[sdk]:
        problem = sides.client(major).ask("validate", messages=[QUESTION, saved["message"]])

        assert problem is None, f"ai {major}: {problem}"


def answer_and_save(backend: Backend, sdk: str, scenario: Scenario) -> Any:
    model = scenario.model(7)
    body = {**scenario.body, "id": "c1", "model": model, "trigger": "submit-message", "messages": [QUESTION]}
    ask = Request(f"{backend.url}/{sdk}/api/chat", json.dumps(body).encode(), {"content-type": "application/json"})
    with urlopen(ask, timeout=60) as response:
        response.read()
    with urlopen(f"{backend.url}/saved/{quote(model)}", timeout=60) as response:
        return json.load(response)
