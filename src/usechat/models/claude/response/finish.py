"""The end of an Anthropic message: stop reason, token counts and the AI SDK's metadata of the end.

Facts from ``@ai-sdk/anthropic`` 4.0.105 (``map-anthropic-stop-reason.ts``, ``convert-anthropic-usage.ts``, the
``message_stop`` case of ``doStream``). Reads the events' JSON and tolerates missing fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from usechat.parts import FinishReason, ModelFinish, UnifiedFinishReason, Usage

__all__ = ["MessageEnd"]

Json = dict[str, Any]

_UNIFIED: dict[str | None, UnifiedFinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool-calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content-filter",
}
_EDIT_FIELDS = {
    "clear_tool_uses_20250919": {"clearedToolUses": "cleared_tool_uses", "clearedInputTokens": "cleared_input_tokens"},
    "clear_thinking_20251015": {
        "clearedThinkingTurns": "cleared_thinking_turns",
        "clearedInputTokens": "cleared_input_tokens",
    },
    "compact_20260112": {},
}
_STOP_DETAILS = {"category": "category", "explanation": "explanation", "recommendedModel": "recommended_model"}
_EXECUTOR_ITERATIONS = {"compaction", "message"}
"""Iterations that count for the totals. An advisor's are billed separately."""


class MessageEnd:
    """Collect the values of the finish from ``message_start`` and each ``message_delta``."""

    __slots__ = (
        "_counts",
        "_input_first",
        "_metadata",
        "model_id",
        "raw_usage",
        "response_id",
        "stop_reason",
    )

    def __init__(self) -> None:
        self.raw_usage: Json = {}
        self.stop_reason: str | None = None
        self.response_id: str | None = None
        self.model_id: str | None = None
        self._input_first: int | None = None
        self._counts: Json = {}
        self._metadata: Json = {"stopSequence": None, "container": None, "contextManagement": None}

    def start(self, message: Json) -> None:
        """Read the message of a ``message_start``. Forget the counts of an earlier message."""
        usage = as_object(message.get("usage"))
        self.response_id = message.get("id")
        self.model_id = message.get("model")
        self.raw_usage = dict(usage)
        self._input_first = usage.get("input_tokens")
        self._counts = {"input_tokens": self._input_first, "output_tokens": 0}
        self._count(usage, "cache_read_input_tokens", "cache_creation_input_tokens")
        self._note("serviceTier", usage.get("service_tier") or message.get("service_tier"))
        self._note("inputTransformations", message.get("input_transformations"))
        if container := message.get("container"):
            self._metadata["container"] = _container(container, with_skills=False)
        self.stop_reason = message.get("stop_reason") or self.stop_reason

    def feed(self, event: Json) -> None:
        """Read a ``message_delta``."""
        usage, delta = as_object(event.get("usage")), as_object(event.get("delta"))
        self.raw_usage = {**self.raw_usage, **usage}
        self._count(
            usage,
            "input_tokens",
            "output_tokens",
            "output_tokens_details",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
            "iterations",
        )
        self.stop_reason = delta.get("stop_reason") or self.stop_reason
        self._metadata["stopSequence"] = delta.get("stop_sequence")
        self._metadata["container"] = _container(delta.get("container"), with_skills=True)
        self._metadata["stopDetails"] = _stop_details(delta.get("stop_details"))
        if edits := event.get("context_management"):
            self._metadata["contextManagement"] = _context_management(edits)
        self._note("inputTransformations", event.get("input_transformations"))
        self._note("safeguardResults", delta.get("safeguard_results"))
        self._note("serviceTier", usage.get("service_tier"))

    def part(self, *, json_tool_called: bool) -> ModelFinish:
        """Return the finish of a message that came to its end.

        Args:
            json_tool_called: Whether the answer was the input of a forced tool: then ``tool_use`` is no tool call.
        """
        unified = _UNIFIED.get(self.stop_reason, "other")
        if json_tool_called and unified == "tool-calls":
            unified = "stop"
        return ModelFinish(
            finish_reason=FinishReason(unified, self.stop_reason),
            usage=self._usage(),
            provider_metadata={"anthropic": self._provider_metadata()},
            response_id=self.response_id,
            model_id=self.model_id,
        )

    def early_part(self, unified: UnifiedFinishReason) -> ModelFinish:
        """Return the finish of a message that never ended. Like the AI SDK's, it counts no tokens."""
        return ModelFinish(
            finish_reason=FinishReason(unified),
            is_complete=False,
            usage=Usage(),
            response_id=self.response_id,
            model_id=self.model_id,
        )

    def _count(self, usage: Json, *names: str) -> None:
        self._counts.update({name: usage[name] for name in names if usage.get(name) is not None})

    def _note(self, name: str, value: Any) -> None:
        if value is not None:
            self._metadata[name] = value

    def _usage(self) -> Usage:
        counts = self._counts
        input_tokens, output = _totals(counts)
        reasoning = as_object(counts.get("output_tokens_details")).get("thinking_tokens")
        return Usage(
            input_no_cache=input_tokens,
            input_cache_read=counts.get("cache_read_input_tokens", 0),
            input_cache_write=counts.get("cache_creation_input_tokens", 0),
            output=output,
            output_text=None if reasoning is None or output is None else output - reasoning,
            output_reasoning=reasoning,
            input_first=self._input_first,
            raw=self.raw_usage,
        )

    def _provider_metadata(self) -> Json:
        metadata = {name: value for name, value in self._metadata.items() if name != "stopDetails" or value is not None}
        iterations = self._counts.get("iterations")
        metadata["usage"] = self.raw_usage
        metadata["iterations"] = [_iteration(each) for each in iterations] if iterations else None
        return metadata


def _totals(counts: Json) -> tuple[int | None, int | None]:
    """Return the message's input and output tokens."""
    iterations = [as_object(iteration) for iteration in counts.get("iterations") or ()]
    executor = [iteration for iteration in iterations if iteration.get("type") in _EXECUTOR_ITERATIONS]
    # After a fallback the totals are those of the served answer. The executor's iteration is the refused attempt.
    if not executor or any(iteration.get("type") == "fallback_message" for iteration in iterations):
        return counts.get("input_tokens"), counts.get("output_tokens")
    return (
        sum(iteration.get("input_tokens") or 0 for iteration in executor),
        sum(iteration.get("output_tokens") or 0 for iteration in executor),
    )


def as_object(value: Any) -> Json:
    """Return the value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def pick(source: Mapping[str, Any], names: Mapping[str, str]) -> Json:
    """Return the values that are present and not null, under their new names."""
    return {name: source[key] for name, key in names.items() if source.get(key) is not None}


def _iteration(iteration: Json) -> Json:
    shown = {"type": iteration.get("type"), **pick(iteration, {"model": "model"})}
    shown |= {"inputTokens": iteration.get("input_tokens"), "outputTokens": iteration.get("output_tokens")}
    cached = {
        "cacheCreationInputTokens": "cache_creation_input_tokens",
        "cacheReadInputTokens": "cache_read_input_tokens",
    }
    return shown | {name: count for name, count in pick(iteration, cached).items() if count}


def _container(container: Any, *, with_skills: bool) -> Json | None:
    if not isinstance(container, dict):
        return None
    found = as_object(container)
    skills = found.get("skills") if with_skills else None
    return {
        "expiresAt": found.get("expires_at"),
        "id": found.get("id"),
        "skills": None
        if skills is None
        else [
            {"type": skill.get("type"), "skillId": skill.get("skill_id"), "version": skill.get("version")}
            for skill in skills
        ],
    }


def _stop_details(details: Any) -> Json | None:
    if not isinstance(details, dict):
        return None
    found = as_object(details)
    return {"type": found.get("type"), **pick(found, _STOP_DETAILS)}


def _context_management(management: Json) -> Json:
    return {
        "appliedEdits": [
            {"type": edit["type"], **pick(edit, _EDIT_FIELDS[edit["type"]])}
            for edit in management.get("applied_edits") or ()
            if edit.get("type") in _EDIT_FIELDS
        ]
    }
