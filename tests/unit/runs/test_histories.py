"""The checker of what readers saw: it must find each kind of fault."""

from __future__ import annotations

import pytest

from tests.support.histories import History, Outcome
from usechat.runs.log import Entry


def history(*readings: tuple[int, list[Entry], Outcome]) -> History:
    """A run of three entries with some readers."""
    made = History()
    made.begin("run")
    for data in (b"a", b"b", b"c"):
        made.append("run", data)
    for after, shown, outcome in readings:
        reading = made.read("run", after)
        reading.shown += shown
        reading.outcome = outcome
    return made


END = Entry(4, b"!", is_end=True)
RIGHT: list[tuple[int, list[Entry], Outcome]] = [
    (0, [Entry(1, b"a"), Entry(3, b"bc")], "over"),
    (1, [Entry(3, b"bc")], "over"),
    (3, [], "over"),
    (0, [Entry(2, b"ab")], "left"),
    (0, [], "cut"),
]
WRONG: dict[str, tuple[list[tuple[int, list[Entry], Outcome]], str]] = {
    "gap": ([(0, [Entry(1, b"a"), Entry(3, b"c")], "over")], "got b'c' for b'bc'"),
    "repeat": ([(1, [Entry(1, b"a")], "left")], "was at 1, and then at 1"),
    "moved": ([(0, [Entry(2, b"ba")], "left")], "got b'ba' for b'ab'"),
    "invented": ([(0, [Entry(4, b"abcd")], "left")], "got what nobody wrote"),
    "goes on after the end": ([(0, [END, Entry(3, b"abc")], "over")], "after the end"),
    "two ends": ([(0, [Entry(2, b"ab")], "over"), (0, [Entry(3, b"abc")], "over")], r"saw it end at \[2, 3\]"),
    "nothing and something": ([(0, [], "over"), (0, [Entry(3, b"abc")], "over")], r"saw it end at \[0, 3\]"),
    "different last frames": ([(3, [END], "over"), (3, [], "over")], "got different ends"),
}


def test_readers_from_any_cursor_that_see_one_sequence_are_right():
    history(*RIGHT).check(is_strict=True)


@pytest.mark.parametrize("kind", WRONG)
def test_fault_is_found(kind: str):
    readings, message = WRONG[kind]

    with pytest.raises(AssertionError, match=message):
        history(*readings).check()


def test_who_saw_more_than_is_there_in_the_end_is_found_where_that_must_not_be():
    made = history((0, [Entry(3, b"abc")], "cut"), (0, [Entry(2, b"ab")], "over"))

    made.check()
    with pytest.raises(AssertionError, match="saw more than run has"):
        made.check(is_strict=True)
