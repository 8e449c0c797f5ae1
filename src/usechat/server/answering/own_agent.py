"""Finds the application's own agent for ``usechat serve MODULE:NAME``."""

from __future__ import annotations

from typing import Any, cast

from usechat.agent import Agent
from usechat.errors import ConfigurationError
from usechat.server.processes.imports import import_named

__all__ = ["check_serves", "load_agent"]


def load_agent(target: str) -> Agent[Any]:
    """Import the agent that ``MODULE:NAME`` means. The working folder's modules are found, too.

    Raises:
        ConfigurationError: There is no such module or name, or it is no agent.
        Exception: Whatever the module's own code raises.
    """
    found = import_named(target, "agent")
    if not isinstance(found, Agent):
        raise ConfigurationError(f"{target} must be an Agent, not {type(found).__name__}")
    return cast("Agent[Any]", found)


def check_serves(agent: Agent) -> None:
    """Refuse an agent whose answers need something that this server does not give them.

    Raises:
        ConfigurationError: Its answers need a context.
    """
    if agent.context_type is not None and agent.context is None:
        raise ConfigurationError(
            "the agent has no context for its answers: give it one, "
            f"as in Agent(…, context={agent.context_type.__name__}(…))"
        )
