"""Checks what readers of runs were shown against what was asked of the log, and knows nothing of how a log works.

Asked: which entries a producer appended, in which order. Shown: which reader, from which cursor, got what, and how it
ended for it. All that is demanded follows from these two: each reader sees one sequence without a gap or a repeat,
nothing that was not appended, and the same end as all others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from usechat.runs.log import Entry

__all__ = ["History", "Outcome", "Reading"]

Outcome: TypeAlias = Literal["reading", "over", "left", "cut"]
"""Of a reader: it had the end; it left; its process took it along."""


@dataclass
class Reading:
    """What one reader was shown."""

    run_id: str
    after: int
    """The cursor that it came with."""
    shown: list[Entry] = field(default_factory=list[Entry])
    outcome: Outcome = "reading"

    @property
    def name(self) -> str:
        return f"the reader of {self.run_id} from {self.after}"

    @property
    def place(self) -> int:
        """The number of entries that it has, or had when it came."""
        return max([self.after, *(entry.cursor for entry in self.shown if not entry.is_end)])


@dataclass
class History:
    """What producers and readers did."""

    asked: dict[str, list[bytes]] = field(default_factory=dict[str, list[bytes]])
    """The entries that were appended to each run."""
    readings: list[Reading] = field(default_factory=list[Reading])

    def begin(self, run_id: str) -> None:
        """Note a new run."""
        self.asked[run_id] = []

    def append(self, run_id: str, data: bytes) -> None:
        """Note an entry that a log has taken."""
        self.asked[run_id].append(data)

    def read(self, run_id: str, after: int) -> Reading:
        """Note a reader. What it is shown is added by whoever reads."""
        reading = Reading(run_id, after)
        self.readings.append(reading)
        return reading

    def check(self, *, is_strict: bool = False) -> None:
        """Check all that must hold.

        Args:
            is_strict: Whether no reader may have seen what the run has not in the end.

        Raises:
            AssertionError: The first thing that does not hold.
        """
        for reading in self.readings:
            self._check_sequence(reading)
        for run_id in self.asked:
            self._check_end(run_id, is_strict=is_strict)

    def _check_sequence(self, reading: Reading) -> None:
        asked, place = self.asked[reading.run_id], reading.after
        for at, entry in enumerate(reading.shown):
            if entry.is_end:
                assert at == len(reading.shown) - 1, f"{reading.name} got something after the end"
                continue
            assert entry.cursor > place, f"{reading.name} was at {place}, and then at {entry.cursor}"
            assert entry.cursor <= len(asked), f"{reading.name} got what nobody wrote"
            expected = b"".join(asked[place : entry.cursor])
            assert entry.data == expected, f"{reading.name} got {entry.data!r} for {expected!r}"
            place = entry.cursor

    def _check_end(self, run_id: str, *, is_strict: bool) -> None:
        readings = [reading for reading in self.readings if reading.run_id == run_id]
        over = [reading for reading in readings if reading.outcome == "over"]
        # Who came with a cursor beyond the end has seen what a dead process took along.
        ends = {reading.place for reading in over if reading.after < reading.place}
        ends |= {0 for reading in over if reading.place == 0}
        assert len(ends) <= 1, f"readers of {run_id} saw it end at {sorted(ends)}"
        last_frames = {tuple(entry.data for entry in reading.shown if entry.is_end) for reading in over}
        assert len(last_frames) <= 1, f"readers of {run_id} got different ends: {last_frames}"
        if is_strict and ends:
            [end] = ends
            beyond = [reading.name for reading in readings if any(entry.cursor > end for entry in shown(reading))]
            assert not beyond, f"{beyond} saw more than {run_id} has"


def shown(reading: Reading) -> list[Entry]:
    return [entry for entry in reading.shown if not entry.is_end]
