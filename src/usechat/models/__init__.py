"""Language models: what the loop asks of one (`usechat.models.base`), and the ones that come with this package.

A model's module is imported when its name is first asked for, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usechat.models.anthropic_events import AnthropicStream
    from usechat.models.anthropic_model import AnthropicModel, anthropic

__all__ = ["AnthropicModel", "AnthropicStream", "anthropic"]

_HOMES = {
    "AnthropicModel": "usechat.models.anthropic_model",
    "AnthropicStream": "usechat.models.anthropic_events",
    "anthropic": "usechat.models.anthropic_model",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
