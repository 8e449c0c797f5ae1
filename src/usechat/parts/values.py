"""Finish reasons, usage and provider metadata: the values that several parts carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

__all__ = [
    "FinishReason",
    "ProviderMetadata",
    "UnifiedFinishReason",
    "Usage",
    "add_counts",
]

ProviderMetadata: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Values that only one provider understands, two levels deep: ``{"anthropic": {"signature": "…"}}``."""

UnifiedFinishReason: TypeAlias = Literal[
    "stop", "length", "content-filter", "tool-calls", "error", "other", "interrupted"
]


class FinishReason(msgspec.Struct, frozen=True, gc=False):
    """The reason of the end of a model call: AI SDK 7's word, and the provider's word (``None`` when it gave none)."""

    unified: UnifiedFinishReason
    raw: str | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The number of tokens of one or more model calls. ``None`` means that the provider did not say.

    Each AI SDK major has another shape of usage; encoders make it (docs/protocol.md, Usage).
    """

    input_no_cache: int | None = None
    """Input tokens that were neither read from a cache nor written to one."""
    input_cache_read: int | None = None
    input_cache_write: int | None = None
    output: int | None = None
    output_text: int | None = None
    output_reasoning: int | None = None
    input_first: int | None = None
    """The input tokens announced at the start of the answer. AI SDK 4 counts only these as prompt tokens."""
    raw: Mapping[str, Any] | None = None
    """The provider's own numbers, for one call only."""

    @property
    def input(self) -> int | None:
        """All input tokens, cached ones included."""
        return add_counts(add_counts(self.input_no_cache, self.input_cache_read), self.input_cache_write)

    @property
    def total(self) -> int | None:
        """Input and output tokens together."""
        return add_counts(self.input, self.output)

    def __add__(self, other: Usage) -> Usage:
        """Return the sum of two usages. Raw numbers are kept only when one of the two is empty."""
        counts = {
            name: add_counts(getattr(self, name), getattr(other, name))
            for name in Usage.__struct_fields__
            if name != "raw"
        }
        raw = other.raw if self == Usage() else self.raw if other == Usage() else None
        return Usage(raw=raw, **counts)


def add_counts(a: int | None, b: int | None) -> int | None:
    """Return the sum of two counts. An unknown count is left out; the sum of two unknown counts is unknown."""
    if a is None:
        return b
    return a if b is None else a + b
