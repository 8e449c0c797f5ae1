"""Converts usage to and from the shape of each AI SDK major in message metadata (docs/protocol.md, Usage)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from usechat.parts import Usage, add_counts
from usechat.protocol.dialects import Dialect

__all__ = ["parse_count", "parse_usage", "show_usage", "usage_for_major"]


def usage_for_major(usage: Usage, major: int) -> dict[str, Any]:
    """Return ``usage`` in the shape of AI SDK ``major``, without keys that have no value."""
    return present(SHAPES[major](usage))


def shape_4(usage: Usage) -> dict[str, Any]:
    # AI SDK 4 counts the input tokens announced at the start of the answer, without cached ones.
    prompt, completion = usage.input_first or 0, usage.output or 0
    return {"promptTokens": prompt, "completionTokens": completion}


def shape_5(usage: Usage) -> dict[str, Any]:
    # AI SDK 5 has no count where the provider said nothing of its cache. Newer majors have 0.
    is_silent = not usage.input_cache_read and usage.raw is not None and "cache_read_input_tokens" not in usage.raw
    return {
        "inputTokens": usage.input_no_cache,
        "outputTokens": usage.output,
        "totalTokens": add_counts(usage.input_no_cache, usage.output),
        "reasoningTokens": usage.output_reasoning,
        "cachedInputTokens": None if is_silent else usage.input_cache_read,
    }


def shape_6(usage: Usage) -> dict[str, Any]:
    raw = {} if usage.raw is None else {"raw": dict(usage.raw)}
    older = {"reasoningTokens": usage.output_reasoning, "cachedInputTokens": usage.input_cache_read}
    return {**shape_7(usage), **older, **raw}


def shape_7(usage: Usage) -> dict[str, Any]:
    return {
        "inputTokens": usage.input,
        "inputTokenDetails": present(
            {
                "noCacheTokens": usage.input_no_cache,
                "cacheReadTokens": usage.input_cache_read,
                "cacheWriteTokens": usage.input_cache_write,
            }
        ),
        "outputTokens": usage.output,
        "outputTokenDetails": present({"textTokens": usage.output_text, "reasoningTokens": usage.output_reasoning}),
        "totalTokens": usage.total,
        "raw": None if usage.raw is None else dict(usage.raw),
    }


SHAPES = {4: shape_4, 5: shape_5, 6: shape_6, 7: shape_7}


def parse_usage(shown: Any) -> Usage:
    """Parse the usage in message metadata, in the shape of any major. A value that is no count becomes None."""
    if not isinstance(shown, Mapping):
        return Usage()
    counts = cast("Mapping[str, Any]", shown)
    if "inputTokenDetails" in counts:
        read, made = details(counts, "inputTokenDetails"), details(counts, "outputTokenDetails")
        no_cache = parse_count(read.get("noCacheTokens"))
        return Usage(
            # Without details, all input tokens were uncached.
            input_no_cache=no_cache if read else parse_count(counts.get("inputTokens")),
            input_cache_read=parse_count(read.get("cacheReadTokens")),
            input_cache_write=parse_count(read.get("cacheWriteTokens")),
            output=parse_count(counts.get("outputTokens")),
            output_text=parse_count(made.get("textTokens")),
            output_reasoning=parse_count(made.get("reasoningTokens")),
        )
    announced = parse_count(counts.get("promptTokens"))
    if announced is not None:
        return Usage(
            input_first=announced, input_no_cache=announced, output=parse_count(counts.get("completionTokens"))
        )
    return Usage(
        input_no_cache=parse_count(counts.get("inputTokens")),
        input_cache_read=parse_count(counts.get("cachedInputTokens")),
        output=parse_count(counts.get("outputTokens")),
        output_reasoning=parse_count(counts.get("reasoningTokens")),
    )


def details(counts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = counts.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def parse_count(value: Any) -> int | None:
    """Return ``value`` if it is a count, otherwise None: the client can write anything there."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def show_usage(metadata: Any, dialect: Dialect) -> Any:
    """Return ``metadata`` with each `Usage` in it replaced by its shape for the dialect."""
    if isinstance(metadata, Usage):
        return usage_for_major(metadata, dialect.shape)
    if isinstance(metadata, Mapping):
        items = cast("Mapping[Any, Any]", metadata).items()
        return {key: show_usage(value, dialect) for key, value in items}
    if isinstance(metadata, list | tuple):
        return [show_usage(value, dialect) for value in cast("list[Any]", metadata)]
    return metadata
