"""What a server loads ahead of its first answer."""

from __future__ import annotations

from typing import Any

import pytest

from usechat import Agent
from usechat.demo.model import demo
from usechat.models import anthropic
from usechat.server.answering.answers import Answers
from usechat.server.answering.choice import choose_model
from usechat.server.settings import Settings


@pytest.mark.parametrize(
    ("settings", "agent", "expected"),
    [
        ({"model": "demo"}, None, False),
        ({"model": "claude-sonnet-4-6"}, None, True),
        # Visitors choose among the models.
        ({"model": "demo", "models": ["claude-sonnet-4-6"]}, None, True),
        ({"model": "demo", "models": ["demo"]}, None, False),
        ({}, Agent(anthropic("claude-sonnet-4-6")), True),
        ({}, Agent(demo()), False),
        ({"models": ["claude-sonnet-4-6"]}, Agent(demo()), True),
    ],
)
def test_package_of_anthropic_is_loaded_ahead_where_a_model_uses_it(
    settings: dict[str, Any], agent: Agent | None, expected: bool
):
    given = Settings.model_validate(settings)
    assert Answers(given, choose_model(given, agent)).uses_anthropic is expected
