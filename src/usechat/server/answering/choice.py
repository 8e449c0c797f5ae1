"""Chooses the model that answers, with the reason and a notice for visitors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

from usechat.agent import Agent
from usechat.errors import ConfigurationError
from usechat.models.embedded.server import local_available
from usechat.models.resolve import default_model
from usechat.server.answering.own_agent import check_serves, load_agent
from usechat.server.settings import Settings

__all__ = ["ModelChoice", "choose_model"]

LABELS: Final = {"local": "SmolLM2 135M, on this machine", "demo": "Demo, a script"}
STAND_INS: Final = {
    "local": "The embedded SmolLM2 answers: a very small model, fluent and often wrong.",
    "demo": "The demo answers: a script, not a model.",
}
HOW_TO_CHANGE: Final = "USECHAT_MODEL (--model) chooses another."
CREDENTIALS: Final = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_PROFILE",
    "ANTHROPIC_CONFIG_DIR",
    "ANTHROPIC_IDENTITY_TOKEN",
    "ANTHROPIC_IDENTITY_TOKEN_FILE",
)
ABILITIES: Final[dict[str, tuple[str, ...]]] = {
    "anthropic": ("tools", "images", "pdf", "reasoning"),
    "demo": ("tools", "reasoning"),
    "local": ("text",),
}
"""What the models of a provider can, for people who choose one. Nothing is said of others."""
NO_KEY: Final = "No key for Anthropic is set: until ANTHROPIC_API_KEY is, every answer will be an error."


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """The model that answers when a client chooses none."""

    name: str
    reason: str
    """The reason for the choice and how to change it, for the log."""
    notice: str | None
    """A warning for visitors of the page; None when there is none."""
    agent: Agent | None = None
    """The application's own agent, if one answers."""

    @property
    def provider(self) -> str:
        """``anthropic``, ``local`` or ``demo``; of an agent, what its model says."""
        if self.agent is not None:
            return self.agent.model.provider
        return provider_of(self.name)

    @property
    def label(self) -> str:
        """The model's or agent's name for people."""
        if self.agent is not None and self.agent.name is not None:
            return self.agent.name
        return label_of(self.name)

    def describe(self, name: str) -> dict[str, Any]:
        """Return what a page says of a model that a client may choose.

        Args:
            name: This model's name, or another's.
        """
        is_own = name == self.name
        provider = self.provider if is_own else provider_of(name)
        label = self.label if is_own else label_of(name)
        return {"id": name, "label": label, "provider": provider, "abilities": ABILITIES.get(provider, ())}


def provider_of(name: str) -> str:
    return name if name in STAND_INS else "anthropic"


def label_of(name: str) -> str:
    return LABELS.get(name, name.removeprefix("anthropic/"))


def choose_model(settings: Settings, agent: Agent | None = None) -> ModelChoice:
    """Return the model of the settings; without one, the model that the environment has a key for.

    Args:
        settings: The server's settings.
        agent: An agent of the application's own, whose model answers.

    Raises:
        ConfigurationError: The settings name the local model, and it cannot run here; or no agent where they say.
    """
    if agent is None and settings.agent is not None:
        agent = load_agent(settings.agent)
    if agent is not None:
        check_serves(agent)
        known = agent.name or settings.agent or "an agent of the application"
        return ModelChoice(name=agent.model.model_id, reason=f"{known} answers.", notice=None, agent=agent)
    name = settings.model
    if name is None:
        name, reason = default_model(os.environ)
        return ModelChoice(name=name, reason=reason, notice=reason if name in STAND_INS else None)
    return named_model(name)


def named_model(name: str) -> ModelChoice:
    """Return the choice of a model that the settings name.

    Raises:
        ConfigurationError: It is the local model, and it cannot run here.
    """
    if name == "local" and (missing := local_available()) is not None:
        raise ConfigurationError(
            f"USECHAT_MODEL (--model) cannot be local here ({missing}): install it, or choose demo."
        )
    if name in STAND_INS:
        notice = f"{STAND_INS[name]} {HOW_TO_CHANGE}"
        return ModelChoice(name=name, reason=notice, notice=notice)
    warning = None if any(os.environ.get(variable) for variable in CREDENTIALS) else NO_KEY
    reason = f"{name} answers, because USECHAT_MODEL (--model) names it."
    return ModelChoice(name=name, reason=f"{reason} {warning}" if warning else reason, notice=warning)
