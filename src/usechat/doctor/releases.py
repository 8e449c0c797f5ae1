"""The releases of the AI SDK at which what a client accepts changes: between two of them all clients judge alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from usechat.protocol.dialects import Dialect, Version, parse_version
from usechat.testing.client_rules.data_stream import LINES_SINCE, REQUIRED_BEFORE
from usechat.testing.client_rules.schemas import SCHEMAS
from usechat.testing.client_rules.ui_message_stream import CLOSES_BLOCKS_AT_STEP_END_BEFORE

__all__ = ["LOOSE_SINCE", "TURNS", "name_ranges", "releases_of"]

LOOSE_SINCE: Mapping[int, Version] = {5: (5, 0, 217), 6: (6, 0, 231), 7: (7, 0, 32)}
"""The first release of each major that passes over keys it does not know."""
INTERRUPTED_SINCE: Version = (7, 0, 149)
EARLIER_CALLS_SINCE: Version = (4, 1, 12)


def _find_turns() -> dict[int, tuple[Version, ...]]:
    named = {since for since, _ in SCHEMAS.values()}
    named |= {key.since for _, keys in SCHEMAS.values() for key in keys.values()}
    turns: set[Version] = {(major, 0, 0) for major in range(3, 8)}
    turns |= {parse_version(first) for since in named if since for first in since.split(",") if first != "-"}
    turns |= {*LOOSE_SINCE.values(), CLOSES_BLOCKS_AT_STEP_END_BEFORE, INTERRUPTED_SINCE}
    turns |= {*LINES_SINCE.values(), EARLIER_CALLS_SINCE}
    turns |= {until for rules in REQUIRED_BEFORE.values() for until, _ in rules}
    return {major: tuple(sorted(turn for turn in turns if turn[0] == major)) for major in range(3, 8)}


TURNS: Mapping[int, tuple[Version, ...]] = _find_turns()
"""For each major its first release, and each that accepts other frames than the one before."""


def releases_of(dialect: Dialect | None, majors: Sequence[int]) -> tuple[Version, ...]:
    """Return one release for each judgement that there can be.

    Args:
        dialect: The client; a major or minor stands for all from its first release to the end of the major.
        majors: Those that read the protocol. A client of another major gets no release.
    """
    if dialect is None:
        return tuple(turn for major in majors for turn in TURNS[major])
    if dialect.major not in majors:
        return ()
    if dialect.is_release:
        return (dialect.version,)
    return (dialect.version, *(turn for turn in TURNS[dialect.major] if turn > dialect.version))


def name_ranges(releases: Sequence[Version], among: Sequence[Version]) -> str:
    """Return the ranges of releases in words: ``AI SDK 5 before 5.0.92, AI SDK 6``.

    Args:
        releases: The releases to name, each of them standing for all until the next one of ``among``.
        among: All that were examined, in order.
    """
    if len(among) == 1:
        return f"AI SDK {name(among[0])}" if releases else ""
    ranges: list[str] = []
    for _, line in groupby(among, key=lambda release: release[0]):
        begin: Version | None = None
        for release in line:
            is_named = release in releases
            if begin is not None and not is_named:
                ranges.append(name_range(begin, release))
            begin = (begin or release) if is_named else None
        if begin is not None:
            ranges.append(name_range(begin, None))
    return ", ".join(ranges)


def name_range(begin: Version, stop: Version | None) -> str:
    since = "" if begin[1:] == (0, 0) else f" from {name(begin)}"
    return f"AI SDK {begin[0]}{since}" + ("" if stop is None else f" before {name(stop)}")


def name(version: Version) -> str:
    return ".".join(map(str, version))
