"""Language models: their protocol (`usechat.models.base`), and the models that come with this package.

A model's module is imported when its name is first used, so that importing this package is fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usechat.demo.model import demo
    from usechat.models.cache import AnswerStore, MemoryAnswers, cached
    from usechat.models.claude.model import AnthropicModel, anthropic
    from usechat.models.claude.response.events import AnthropicStream
    from usechat.models.embedded.model import local
    from usechat.models.embedded.server import local_available
    from usechat.models.resolve import default_model, resolve_model
    from usechat.models.wrap import fallback, with_defaults, wrap_model

__all__ = [
    "AnswerStore",
    "AnthropicModel",
    "AnthropicStream",
    "MemoryAnswers",
    "anthropic",
    "cached",
    "default_model",
    "demo",
    "fallback",
    "local",
    "local_available",
    "resolve_model",
    "with_defaults",
    "wrap_model",
]

_HOMES = {
    "AnswerStore": "usechat.models.cache",
    "MemoryAnswers": "usechat.models.cache",
    "cached": "usechat.models.cache",
    "AnthropicModel": "usechat.models.claude.model",
    "AnthropicStream": "usechat.models.claude.response.events",
    "anthropic": "usechat.models.claude.model",
    "default_model": "usechat.models.resolve",
    "demo": "usechat.demo.model",
    "fallback": "usechat.models.wrap",
    "local": "usechat.models.embedded.model",
    "local_available": "usechat.models.embedded.server",
    "resolve_model": "usechat.models.resolve",
    "with_defaults": "usechat.models.wrap",
    "wrap_model": "usechat.models.wrap",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
