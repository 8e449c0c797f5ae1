"""Dialects: the lines, chunks and fields that one version of the AI SDK's client accepts.

Two tables have the first release for each: `LINES` for the data stream of AI SDK 3 and 4, whose parser throws at an
unknown code, and `SINCE` for the chunks of AI SDK 5, 6 and 7. Clients before 5.0.217, 6.0.231 and 7.0.32 refuse a chunk
with an unknown key and end the chat with an error. Every client refuses an unknown chunk type. So a client gets only
what the tables allow for its version (docs/protocol.md, Which version a client is of). Knows no frames.

A version is a whole release (``6.0.100``: the frames of that release's own server), a major or minor (``6``, ``3.4``:
what all its releases accept), or unknown (`auto`: what all releases accept that can have sent the request).

Source: the parsers of all releases, compared: ``ai/react/dist`` up to 3.1.30, ``@ai-sdk/ui-utils/dist`` as each later
release of ``ai`` up to 4.3.19 depends on it, ``uiMessageChunkSchema`` of ``ai`` from 5.0.0 on.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import Literal, TypeAlias

from usechat.errors import ConfigurationError
from usechat.parts import FinishReason

__all__ = [
    "AUTO",
    "LINE_MAJORS",
    "NEWEST",
    "UI_MESSAGE_STREAM_SINCE",
    "Dialect",
    "DialectName",
    "Version",
    "parse_dialect",
]

Version: TypeAlias = tuple[int, int, int]
DialectName: TypeAlias = Literal["auto", "2", "3", "4", "5", "6", "7"] | str

NEWEST: dict[int, Version] = {4: (4, 3, 19), 5: (5, 0, 277), 6: (6, 0, 324), 7: (7, 0, 173)}
"""The newest release of each major that the tables were compared with."""

LINES: dict[str, Version] = {
    # line, or line.feature: the first release of `ai` that reads it. Earlier releases throw, for example "Invalid
    # code", and the answer is lost. Every release of 3 reads `0`, `2`, `3` and `8`.
    "9": (3, 1, 7),
    "a": (3, 1, 7),
    "a.short": (3, 2, 42),  # without the call's `toolName` and `args`, which earlier releases require
    "b": (3, 2, 28),
    "c": (3, 2, 28),
    "d": (3, 2, 38),
    "d.short": (3, 3, 35),  # without `usage`
    "e": (3, 3, 21),
    "e.short": (3, 3, 35),
    "f": (4, 0, 39),
    "g": (4, 1, 1),
    "h": (4, 1, 35),
    "i": (4, 1, 46),
    "j": (4, 1, 46),
    "k": (4, 1, 63),
    # An output of a call from an earlier answer. Earlier releases throw "tool_result must be preceded by a tool_call".
    "a.of_message": (4, 1, 12),
}
NEEDS_STREAM_DATA_HEADER_BEFORE: Version = (3, 0, 20)
"""Clients before this release show the lines as text unless the header ``x-experimental-stream-data`` is set."""

SINCE: dict[str, tuple[str | None, str | None, str | None]] = {
    # chunk or chunk.field: first release of major 5, 6 and 7 that accepts it; None: no release of that major does
    "finish.finishReason": ("5.0.92", "6.0.0", "7.0.0"),
    "abort.reason": (None, "6.0.15", "7.0.0"),
    "text-end.citations": (None, None, "7.0.138"),
    "tool-input-error": ("5.0.7", "6.0.0", "7.0.0"),
    "tool-input-start.title": (None, "6.0.0", "7.0.0"),
    "tool-input-start.providerMetadata": (None, "6.0.39", "7.0.0"),
    "tool-input-start.toolMetadata": (None, "6.0.176", "7.0.0"),
    "tool-input-start.inputEncoding": (None, "6.0.308", "7.0.142"),
    "tool-input-available.title": (None, "6.0.0", "7.0.0"),
    "tool-input-available.toolMetadata": (None, "6.0.176", "7.0.0"),
    "tool-input-error.title": (None, "6.0.0", "7.0.0"),
    "tool-input-error.toolMetadata": (None, "6.0.176", "7.0.0"),
    "tool-output-available.preliminary": ("5.0.11", "6.0.0", "7.0.0"),
    "tool-output-available.providerMetadata": (None, "6.0.120", "7.0.0"),
    "tool-output-available.toolMetadata": (None, "6.0.176", "7.0.0"),
    "tool-output-error.providerMetadata": (None, "6.0.120", "7.0.0"),
    "tool-output-error.toolMetadata": (None, "6.0.176", "7.0.0"),
    "tool-approval-request": (None, "6.0.0", "7.0.0"),
    # With this key, an earlier client shows no buttons: the whole answer ends in an error at the request.
    "tool-approval-request.signature": (None, "6.0.202", "7.0.0"),
    "tool-approval-request.approvalDescriptor": (None, "6.0.274", "7.0.87"),
    "tool-approval-request.inputSchemaInput": (None, "6.0.290", "7.0.113"),
    "tool-approval-request.isAutomatic": (None, None, "7.0.0"),
    "tool-approval-request.reason": (None, None, "7.0.82"),
    "tool-approval-response": (None, None, "7.0.0"),
    "tool-output-denied": (None, "6.0.0", "7.0.0"),
    "custom": (None, None, "7.0.0"),
    "reasoning-file": (None, None, "7.0.0"),
    "reset-step": (None, None, "7.0.70"),
    "steering-message": (None, None, "7.0.163"),
}

UNKNOWN_TO_OLD_MAJORS: dict[int, dict[str | None, str]] = {
    # provider's stop reason: the major's word for it, if it is not AI SDK 7's (docs/protocol.md, Stop reasons)
    4: dict.fromkeys(("pause_turn", "refusal", "model_context_window_exceeded", "compaction"), "unknown"),
    5: {"model_context_window_exceeded": "unknown", "compaction": "other"},
    6: {},
    7: {},
}
OTHER_REASON: dict[int, str] = {4: "unknown", 5: "unknown", 6: "other", 7: "other"}
INTERRUPTED_SINCE: Version = (7, 0, 149)
"""Earlier releases refuse a `finish` with a finish reason that their schema does not have."""

UI_MESSAGE_STREAM_SINCE = 5
"""The first major that reads chunks."""
LINE_MAJORS = (3, 4)
"""The majors that read lines. Earlier majors read text."""

PRERELEASE = r"-[0-9A-Za-z][-.0-9A-Za-z]{0,63}"
VERSION = re.compile(rf"([2-7])(?:\.([0-9]{{1,9}})(?:\.([0-9]{{1,9}})({PRERELEASE})?)?)?")


def parse_version(text: str) -> Version:
    major, minor, patch = text.split(".")
    return int(major), int(minor), int(patch)


class Dialect:
    """The protocol of one client version: what it accepts, and how its SDK's own server behaves.

    Args:
        version: The client's version, or the oldest possible one when the version is not known.
        exact: Whether the version is known rather than guessed. If known, the frames are those of the AI SDK's own
            server of that version. A guessed client gets the same protocol, with open blocks closed before an error.
        is_release: Whether ``version`` is the client's release, not only its major or minor.
    """

    def __init__(self, version: Version, *, exact: bool, is_release: bool | None = None) -> None:
        self.version = version
        self.exact = exact
        self.is_release = exact if is_release is None else is_release

    def __repr__(self) -> str:
        known = "" if self.is_release else " or later" if self.exact else ", guessed"
        return f"Dialect({'.'.join(map(str, self.version))}{known})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dialect) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Version, bool, bool]:
        return self.version, self.exact, self.is_release

    @property
    def major(self) -> int:
        """The AI SDK major, from 2 to 7."""
        return self.version[0]

    @property
    def shape(self) -> int:
        """The major of usage and finish reasons that this client reads: AI SDK 3 has those of 4."""
        return max(self.major, 4)

    @cached_property
    def refused(self) -> frozenset[str]:
        """The chunks (``custom``) and fields (``finish.finishReason``), or lines, that this client does not accept."""
        if self.major < UI_MESSAGE_STREAM_SINCE:
            return frozenset(name for name, since in LINES.items() if self.version < since)
        column = self.major - UI_MESSAGE_STREAM_SINCE
        return frozenset(
            name
            for name, since in SINCE.items()
            if (first := since[column]) is None or self.version < parse_version(first)
        )

    def accepts(self, chunk: str, field: str | None = None) -> bool:
        """Return whether the client accepts a chunk type or one of its fields; before AI SDK 5, a line's code."""
        return (chunk if field is None else f"{chunk}.{field}") not in self.refused

    @property
    def needs_stream_data_header(self) -> bool:
        """Whether the client may show lines as text unless the header ``x-experimental-stream-data`` is set."""
        return self.version < NEEDS_STREAM_DATA_HEADER_BEFORE

    @property
    def approvals(self) -> bool:
        """Whether the client can be asked to approve a tool call."""
        return self.major >= 6

    @property
    def needs_unique_block_ids(self) -> bool:
        """Whether this client needs a new id for each block of an answer."""
        return not self.exact or self.major >= 6

    def finish_reason(self, reason: FinishReason) -> str:
        """Return this major's word for a finish reason. The client's schema always has the word."""
        if reason.raw in (table := UNKNOWN_TO_OLD_MAJORS[self.shape]):
            return table[reason.raw]
        if reason.unified == "interrupted":
            return "interrupted" if self.version >= INTERRUPTED_SINCE else OTHER_REASON[self.shape]
        return OTHER_REASON[self.shape] if reason.unified == "other" else reason.unified


AUTO = Dialect((5, 0, 0), exact=False)
"""A client of unknown version, 5.0.0 or later."""


@lru_cache(maxsize=64)
def parse_dialect(name: str) -> Dialect | None:
    """Return the dialect that a setting, an argument or the ``x-usechat-sdk`` header names; None for ``auto``.

    Args:
        name: ``auto``; a release (``6.0.100``); or a major (``7``) or minor (``3.4``), for what all its releases
            accept. A prerelease (``7.0.0-beta.3``) gets what all releases of the line before it accept.

    Raises:
        ConfigurationError: ``name`` is no version of the AI SDK from 2 to 7.
    """
    text = name.strip().removeprefix("v")
    if text == "auto":
        return None
    found = VERSION.fullmatch(text)
    if found is None:
        raise ConfigurationError("the AI SDK version must be auto, a major from 2 to 7 or a version such as 6.0.100")
    major, minor, patch, prerelease = found.groups()
    version = (int(major), int(minor or 0), int(patch or 0))
    if prerelease is not None:
        return Dialect(version_before(version), exact=False)
    return Dialect(version, exact=True, is_release=patch is not None)


def version_before(version: Version) -> Version:
    """Return the oldest version of the line before a prerelease, which may lack every feature of its new line."""
    major, minor, patch = version
    if patch > 0:
        return major, minor, 0
    if minor > 0:
        return major, minor - 1, 0
    # 3 and 5 brought new protocols, and their prereleases already have them.
    return version if major in (2, 3, UI_MESSAGE_STREAM_SINCE) else (major - 1, 0, 0)
