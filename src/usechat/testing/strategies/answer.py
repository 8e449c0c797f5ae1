"""The state of an answer while a strategy draws it part by part, with its tool calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from hypothesis import strategies as st

from usechat.parts import Part
from usechat.testing.strategies.values import json_objects, optional, provider_metadata

__all__ = ["Answer", "Call", "as_strategies", "described", "named"]


def as_strategies(values: dict[str, Any]) -> dict[str, st.SearchStrategy[Any]]:
    """Return ``values`` as strategies; a plain value becomes a strategy that always draws it."""
    return {key: as_strategy(value) for key, value in values.items()}


def as_strategy(value: Any) -> st.SearchStrategy[Any]:
    return cast("st.SearchStrategy[Any]", value) if isinstance(value, st.SearchStrategy) else st.just(value)


@dataclass
class Call:
    """A tool call of the drawn answer."""

    id: str
    name: str
    dynamic: bool | None
    provider_executed: bool | None
    is_open: bool = True
    is_settled: bool = False
    approval: str | None = None


@dataclass
class Answer:
    """A legal answer up to the last drawn part."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    parts: list[Part] = field(default_factory=list[Part])
    text: set[str] = field(default_factory=set[str])
    reasoning: set[str] = field(default_factory=set[str])
    calls: list[Call] = field(default_factory=list[Call])
    calls_made: int = 0
    calls_before_step: int = 0

    def add(self, strategy: st.SearchStrategy[Any]) -> None:
        """Draw a part and append it."""
        self.parts.append(self.draw(strategy))

    def make(self, part: type[Part], **values: Any) -> None:
        """Append a part with these values; draw those that are strategies."""
        drawn = {key: self.draw(strategy) for key, strategy in as_strategies(values).items()}
        self.parts.append(part(**drawn))

    def pick(self, values: list[Any]) -> Any:
        """Draw one of ``values``."""
        return self.draw(st.sampled_from(values))

    def open_calls(self) -> list[Call]:
        """Return the calls whose input is not complete."""
        return [call for call in self.calls if call.is_open]

    def ready_calls(self) -> list[Call]:
        """Return the calls that await a result."""
        return [call for call in self.calls if not call.is_open and not call.is_settled]

    def drop_open(self) -> None:
        """Drop all open blocks and calls, so that no later part continues them."""
        self.text.clear()
        self.reasoning.clear()
        self.calls = [call for call in self.calls if not call.is_open]


def named(call: Call) -> dict[str, Any]:
    """Return the fields that name a call."""
    return {"tool_call_id": call.id, "tool_name": call.name}


def described(call: Call) -> dict[str, Any]:
    """Return the fields that name and describe a call."""
    return {
        **named(call),
        "provider_executed": call.provider_executed,
        "dynamic": call.dynamic,
        "provider_metadata": provider_metadata(),
        "tool_metadata": optional(json_objects()),
    }
