"""Dialects: which chunks and fields one version of the AI SDK's client accepts.

The table says since when, in each major, a chunk type or an optional field is accepted. Clients before 5.0.217,
6.0.231 and 7.0.32 refuse a chunk with a key they do not know and end the chat with an error, and every client
refuses an unknown chunk type: so what is not in the table for a version is not sent to it (PROTOCOL.md section 2).

`auto` stands for a client of which only the protocol is known. It gets what every released client since 5.0.0 takes.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import Literal, TypeAlias

from usechat.errors import ConfigurationError
from usechat.parts import FinishReason

__all__ = ["AUTO", "NEWEST", "Dialect", "DialectName", "Version", "parse_dialect"]

Version: TypeAlias = tuple[int, int, int]
DialectName: TypeAlias = Literal["auto", "4", "5", "6", "7"] | str

NEWEST: dict[int, Version] = {4: (4, 3, 19), 5: (5, 0, 277), 6: (6, 0, 324), 7: (7, 0, 173)}
"""The newest release of each major that was compared with; a named major means this one."""

SINCE: dict[str, tuple[str | None, str | None, str | None]] = {
    # chunk or chunk.field: first version of major 5, 6 and 7 that accepts it; None: no version of that major does
    "finish.finishReason": ("5.0.92", "6.0.0", "7.0.0"),
    "abort.reason": (None, "6.0.100", "7.0.0"),
    "text-end.citations": (None, None, "7.0.138"),
    "tool-input-error": ("5.0.60", "6.0.0", "7.0.0"),
    "tool-input-start.title": (None, "6.0.0", "7.0.0"),
    "tool-input-start.providerMetadata": (None, "6.0.100", "7.0.0"),
    "tool-input-start.toolMetadata": (None, "6.0.176", "7.0.0"),
    "tool-input-start.inputEncoding": (None, "6.0.308", "7.0.149"),
    "tool-input-available.title": (None, "6.0.0", "7.0.0"),
    "tool-input-available.toolMetadata": (None, "6.0.176", "7.0.0"),
    "tool-input-error.title": (None, "6.0.0", "7.0.0"),
    "tool-input-error.toolMetadata": (None, "6.0.176", "7.0.0"),
    "tool-output-available.preliminary": ("5.0.11", "6.0.0", "7.0.0"),
    "tool-output-available.providerMetadata": (None, "6.0.230", "7.0.0"),
    "tool-output-available.toolMetadata": (None, "6.0.230", "7.0.0"),
    "tool-output-error.providerMetadata": (None, "6.0.230", "7.0.0"),
    "tool-output-error.toolMetadata": (None, "6.0.230", "7.0.0"),
    "tool-approval-request": (None, "6.0.0", "7.0.0"),
    "tool-approval-request.signature": (None, "6.0.230", "7.0.0"),
    "tool-approval-request.approvalDescriptor": (None, "6.0.324", "7.0.149"),
    "tool-approval-request.inputSchemaInput": (None, "6.0.324", "7.0.149"),
    "tool-approval-request.isAutomatic": (None, None, "7.0.0"),
    "tool-approval-request.reason": (None, None, "7.0.149"),
    "tool-approval-response": (None, None, "7.0.0"),
    "tool-output-denied": (None, "6.0.0", "7.0.0"),
    "custom": (None, None, "7.0.0"),
    "reasoning-file": (None, None, "7.0.0"),
    "reset-step": (None, None, "7.0.149"),
    "steering-message": (None, None, "7.0.173"),
}

UNKNOWN_TO_OLD_MAJORS: dict[int, dict[str | None, str]] = {
    # the provider's stop reason: what the major calls it where that is not AI SDK 7's word (PROTOCOL.md, Stop reasons)
    4: dict.fromkeys(("pause_turn", "refusal", "model_context_window_exceeded", "compaction"), "unknown"),
    5: {"model_context_window_exceeded": "unknown", "compaction": "other"},
    6: {},
    7: {},
}
OTHER_REASON: dict[int, str] = {4: "unknown", 5: "unknown", 6: "other", 7: "other"}
INTERRUPTED_SINCE: Version = (7, 0, 149)


VERSION = re.compile(r"[4-7](\.[0-9]{1,9}){0,2}")


def parse_version(text: str) -> Version:
    major, minor, patch = [*text.split("."), "0", "0"][:3]
    return int(major), int(minor), int(patch)


class Dialect:
    """What one client version accepts, and how its SDK's own server behaves.

    Args:
        version: The client's version.
        exact: Whether the version is known rather than guessed. Then the frames are the AI SDK's own for it;
            a guessed client gets the same protocol with open blocks closed before an error.
    """

    def __init__(self, version: Version, *, exact: bool) -> None:
        self.version = version
        self.exact = exact

    def __repr__(self) -> str:
        return f"Dialect({'.'.join(map(str, self.version))}{'' if self.exact else ', guessed'})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dialect) and (self.version, self.exact) == (other.version, other.exact)

    def __hash__(self) -> int:
        return hash((self.version, self.exact))

    @property
    def major(self) -> int:
        """4, 5, 6 or 7."""
        return self.version[0]

    @cached_property
    def refused(self) -> frozenset[str]:
        """The chunks (``custom``) and fields (``finish.finishReason``) this client does not accept."""
        column = self.major - 5
        return frozenset(
            name
            for name, since in SINCE.items()
            if column >= 0 and ((first := since[column]) is None or self.version < parse_version(first))
        )

    def accepts(self, chunk: str, field: str | None = None) -> bool:
        """Whether the client accepts a chunk type, or an optional field of it. Only majors from 5 have chunks."""
        return (chunk if field is None else f"{chunk}.{field}") not in self.refused

    @property
    def approvals(self) -> bool:
        """Whether the client can be asked to approve a tool call."""
        return self.major >= 6

    @property
    def shows_tool_errors(self) -> bool:
        """Whether this SDK's server shows the client what a failed tool said, rather than a masked text."""
        return self.exact and self.major >= 7

    @property
    def unique_block_ids(self) -> bool:
        """Whether a block id that this answer has used already is replaced by a new one."""
        return not self.exact or self.major >= 6

    def finish_reason(self, reason: FinishReason) -> str:
        """This major's word for a finish reason; always one that its client's schema knows."""
        if reason.raw in (table := UNKNOWN_TO_OLD_MAJORS[self.major]):
            return table[reason.raw]
        if reason.unified == "interrupted":
            return "interrupted" if self.version >= INTERRUPTED_SINCE else OTHER_REASON[self.major]
        return OTHER_REASON[self.major] if reason.unified == "other" else reason.unified


AUTO = Dialect((5, 0, 0), exact=False)
"""A client from 5.0.0 on, its version unknown."""


@lru_cache(maxsize=64)
def parse_dialect(name: str) -> Dialect | None:
    """The dialect that a setting, an argument or the ``x-usechat-sdk`` header names; None for ``auto``.

    Args:
        name: ``auto``, a major (``7``) or a version (``6.0.100``).

    Raises:
        ConfigurationError: It names no version of the AI SDK from 4 to 7.
    """
    text = name.strip().removeprefix("v")
    if text == "auto":
        return None
    if VERSION.fullmatch(text) is None:
        raise ConfigurationError("the AI SDK version must be auto, 4, 5, 6, 7 or a full version such as 6.0.100")
    return Dialect(parse_version(text) if "." in text else NEWEST[int(text)], exact=True)
