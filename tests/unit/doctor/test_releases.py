from __future__ import annotations

import pytest

from usechat.doctor.releases import TURNS, name_ranges, releases_of
from usechat.protocol.dialects import LINES, SINCE, Version, parse_dialect, parse_version


def test_each_release_that_the_encoders_know_as_a_turn_is_examined() -> None:
    # The encoders' tables are written independently of the rules that the doctor goes by.
    named = {parse_version(first) for firsts in SINCE.values() for first in firsts if first is not None}
    named |= set(LINES.values())
    assert named <= {turn for turns in TURNS.values() for turn in turns}


def test_without_a_version_every_turn_of_the_protocol_is_examined() -> None:
    assert releases_of(None, (5, 6)) == TURNS[5] + TURNS[6]


@pytest.mark.parametrize(
    ("sdk", "majors", "expected"),
    [
        ("7.0.173", (5, 6, 7), ((7, 0, 173),)),
        ("7", (5, 6, 7), TURNS[7]),
        ("4.1", (3, 4), tuple(turn for turn in TURNS[4] if turn >= (4, 1, 1))),
        ("4", (5, 6, 7), ()),
    ],
)
def test_named_version_is_examined_alone(sdk: str, majors: tuple[int, ...], expected: tuple[Version, ...]) -> None:
    found = releases_of(parse_dialect(sdk), majors)
    assert [release for release in found if release != (4, 1, 0)] == list(expected)


AMONG = ((5, 0, 0), (5, 0, 7), (5, 0, 92), (6, 0, 0), (6, 0, 15), (7, 0, 0))


@pytest.mark.parametrize(
    ("releases", "text"),
    [
        (AMONG, "AI SDK 5, AI SDK 6, AI SDK 7"),
        (((5, 0, 0), (5, 0, 7)), "AI SDK 5 before 5.0.92"),
        (((5, 0, 92), (6, 0, 0)), "AI SDK 5 from 5.0.92, AI SDK 6 before 6.0.15"),
        (((5, 0, 7),), "AI SDK 5 from 5.0.7 before 5.0.92"),
        (((5, 0, 0), (5, 0, 92)), "AI SDK 5 before 5.0.7, AI SDK 5 from 5.0.92"),
        ((), ""),
    ],
)
def test_ranges_are_named(releases: tuple[Version, ...], text: str) -> None:
    assert name_ranges(releases, AMONG) == text


def test_single_release_is_named_alone() -> None:
    assert name_ranges([(7, 0, 173)], [(7, 0, 173)]) == "AI SDK 7.0.173"
