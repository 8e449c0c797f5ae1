"""The names that the conventions have for what a model call is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from usechat.errors import ProviderError
from usechat.models.base import Model, ModelCall
from usechat.parts import ModelFinish, Usage

__all__ = ["call_attributes", "error_type", "finish_attributes", "usage_attributes"]


def known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def call_attributes(model: Model, call: ModelCall) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attributes of a model call's metrics, and the others of its span."""
    labels = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": model.provider,
        "gen_ai.request.model": model.model_id,
    }
    more = {
        "gen_ai.request.max_tokens": call.max_output_tokens,
        "gen_ai.request.temperature": call.temperature,
        "gen_ai.request.top_p": call.top_p,
        "gen_ai.request.top_k": call.top_k,
        "gen_ai.request.stop_sequences": list(call.stop_sequences) or None,
        "gen_ai.output.type": None if call.response_format is None else "json",
    }
    return labels, known(more)


def usage_attributes(usage: Usage) -> dict[str, Any]:
    """Return the attributes of a usage."""
    return known(
        {
            "gen_ai.usage.input_tokens": usage.input,
            "gen_ai.usage.output_tokens": usage.output,
            "gen_ai.usage.cache_read.input_tokens": usage.input_cache_read,
            "gen_ai.usage.cache_creation.input_tokens": usage.input_cache_write,
        }
    )


def finish_attributes(finish: ModelFinish) -> dict[str, Any]:
    """Return the attributes of what a model said at its end."""
    return {
        **usage_attributes(finish.usage),
        "gen_ai.response.finish_reasons": [finish.finish_reason.unified],
        **known({"gen_ai.response.id": finish.response_id, "gen_ai.response.model": finish.model_id}),
    }


def error_type(error: BaseException) -> str:
    """Return the kind of an error: a provider's own word, or the name of its class."""
    return (error.code if isinstance(error, ProviderError) else None) or type(error).__name__
