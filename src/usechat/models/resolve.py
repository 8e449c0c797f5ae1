"""Find the model for a name, and the default model."""

from __future__ import annotations

from collections.abc import Mapping

from usechat.models.base import Model
from usechat.models.embedded.server import local_available

__all__ = ["ANTHROPIC_MODEL_ID", "default_model", "resolve_model"]

ANTHROPIC_MODEL_ID = "claude-sonnet-4-6"
"""The default model when a key or an address of Anthropic is set."""

_ANTHROPIC_VARIABLES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")
_HOW_TO_CHANGE = "Set ANTHROPIC_API_KEY (or ANTHROPIC_BASE_URL) for Anthropic, or choose another with --model."


def resolve_model(name: str) -> Model:
    """Return the model with this name: ``local``, ``demo``, or one of Anthropic's, with or without ``anthropic/``."""
    # Each model is imported only when it is used, because its libraries take up to half a second to import.
    match name:
        case "local":
            from usechat.models.embedded.model import local

            return local()
        case "demo":
            from usechat.demo.model import demo

            return demo()
        case _:
            from usechat.models.claude.model import anthropic

            return anthropic(name.removeprefix("anthropic/"))


def default_model(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the name of the default model, and a text that says why it is the default and how to change it.

    Args:
        environ: The environment variables. The function only checks whether Anthropic's are set.
    """
    variable = next((name for name in _ANTHROPIC_VARIABLES if environ.get(name)), None)
    if variable is not None:
        return ANTHROPIC_MODEL_ID, f"Anthropic's {ANTHROPIC_MODEL_ID} answers, because {variable} is set."
    reason = local_available()
    if reason is None:
        return "local", (
            "No key for Anthropic is set, so the embedded SmolLM2 answers: a very small model, fluent and often wrong. "
            + _HOW_TO_CHANGE
        )
    return "demo", (
        f"No key for Anthropic is set and the embedded model cannot run ({reason}), so the demo answers: "
        f"a script, not a model. {_HOW_TO_CHANGE}"
    )
