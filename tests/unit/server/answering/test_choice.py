from __future__ import annotations

import os

import pytest

from usechat.errors import ConfigurationError
from usechat.server.answering import choice
from usechat.server.answering.choice import choose_model
from usechat.server.settings import Settings


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)


def test_key_makes_anthropic_answer_without_a_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "unused")
    chosen = choose_model(Settings())
    assert (chosen.name, chosen.provider, chosen.notice) == ("claude-sonnet-4-6", "anthropic", None)
    assert "ANTHROPIC_API_KEY" in chosen.reason


def test_without_a_key_a_stand_in_answers_and_the_page_says_so() -> None:
    chosen = choose_model(Settings())
    assert chosen.provider in {"local", "demo"}
    assert chosen.notice == chosen.reason
    assert "ANTHROPIC_API_KEY" in chosen.reason


@pytest.mark.parametrize(
    ("name", "provider", "label"),
    [
        ("demo", "demo", "Demo, a script"),
        ("claude-haiku-4-5", "anthropic", "claude-haiku-4-5"),
        ("anthropic/claude-haiku-4-5", "anthropic", "claude-haiku-4-5"),
    ],
)
def test_named_model_answers(name: str, provider: str, label: str) -> None:
    chosen = choose_model(Settings(model=name))
    assert (chosen.name, chosen.provider, chosen.label) == (name, provider, label)
    assert "USECHAT_MODEL (--model)" in chosen.reason


def test_model_without_a_key_is_warned_of() -> None:
    chosen = choose_model(Settings(model="claude-haiku-4-5"))
    assert chosen.notice is not None
    assert "ANTHROPIC_API_KEY" in chosen.notice
    assert chosen.reason.endswith(chosen.notice)


@pytest.mark.parametrize("variable", ["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_PROFILE"])
def test_model_with_any_credentials_is_not_warned_of(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "set")
    assert choose_model(Settings(model="claude-haiku-4-5")).notice is None


def test_local_model_that_cannot_run_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "local_available", lambda: "xllamacpp is not installed")
    with pytest.raises(ConfigurationError, match=r"USECHAT_MODEL \(--model\) .+ \(xllamacpp is not installed\)"):
        choose_model(Settings(model="local"))


def test_local_model_answers_where_it_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "local_available", lambda: None)
    chosen = choose_model(Settings(model="local"))
    assert (chosen.provider, chosen.label) == ("local", "SmolLM2 135M, on this machine")
    assert chosen.notice is not None
