"""Chats whose readers leave at random and come back: what they do, and what must not depend on it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, cast

from tests.support.node import NodeProgram

__all__ = [
    "MAJORS",
    "SEED",
    "TOPICS",
    "Outcome",
    "Visit",
    "plan_undisturbed",
    "plan_visits",
    "start_visit",
    "without_ids",
]

SEED: Final = int(os.environ.get("RESUME_SEED", "1"))
"""Of all that is drawn here. A run finds what the run before it found; the variable draws otherwise."""
MAJORS: Final = (4, 5, 6, 7)
RELEASES: Final = {5: "5.0.277", 6: "6.0.324", 7: "7.0.173"}
"""Named whole: what is saved is then all that this very client holds."""
CUTS: Final = 5
"""In each visit."""
DRAWN_ANEW: Final = frozenset({"id", "sourceId", "createdAt", "revisionId", "signature"})
"""What differs between two chats with the same answers."""

SEND_AND_APPROVE: Final = (
    {"kind": "send", "text": "approval"},
    {"kind": "approve"},
    {"kind": "send", "text": "tool"},
)
TOPICS: Final[Mapping[str, Sequence[Mapping[str, Any]]]] = {
    "reasoning": [{"kind": "send", "text": "reasoning"}],
    "tool": [{"kind": "send", "text": "tool"}],
    "progress": [{"kind": "send", "text": "progress"}],
    "sources": [{"kind": "send", "text": "sources"}],
    "two-answers": [{"kind": "send", "text": "picture"}, {"kind": "send", "text": "tool"}],
    "approval": SEND_AND_APPROVE,
}
"""What people do in a chat with the demo."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One chat."""

    chat_id: str
    topic: str
    strict: bool = False
    cuts: Sequence[Sequence[float]] = ()
    """For each step of the topic the places where the page is left, as shares of the answer."""
    other_tab: float | None = None
    """Where in the last answer a second tab is opened."""

    def flow(self, chunks: Sequence[int] = ()) -> Sequence[Mapping[str, Any]]:
        """What the page's program is to do, for answers of so many chunks; without cuts when that is not known."""
        if not chunks:
            return TOPICS[self.topic]
        steps = [
            {**step, "cuts": [place(share, count) for share in shares]}
            for step, shares, count in zip(TOPICS[self.topic], self.cuts, chunks, strict=True)
        ]
        if self.other_tab is not None:
            steps[-1]["otherTabAt"] = place(self.other_tab, chunks[-1])
        return steps


def place(share: float, count: int) -> int:
    # The last chunk ends the answer: whoever has it is not cut off.
    return 1 + int(share * (count - 2))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a page showed in the end."""

    messages: list[Any]
    other: list[Any] | None
    """What the second tab showed."""
    saved: list[Any]
    chunks: list[int]
    """Of each answer."""
    cuts: int
    late: bool
    """Whether the answer came with the page, because it had ended before it was asked for."""
    statuses: list[int]
    errors: list[str]
    stopped: Any


def topics_of(major: int) -> list[str]:
    """What its clients can do."""
    return [topic for topic in TOPICS if topic != "approval" or major >= 6]


def plan_undisturbed(major: int) -> Iterator[Visit]:
    """A visit of each topic."""
    for topic in topics_of(major):
        yield Visit(chat_id=f"undisturbed-{major}-{topic}", topic=topic)


def plan_visits(name: str, *, major: int, source: random.Random) -> Iterator[Visit]:
    """A visit of each topic, with readers who leave and come back."""
    for topic in topics_of(major):
        steps = len(TOPICS[topic])
        shares = sorted(source.randrange(steps) + source.random() for _ in range(CUTS))
        yield Visit(
            chat_id=f"{name}-{major}-{topic}",
            topic=topic,
            strict=source.random() < 0.5,
            cuts=[[share % 1 for share in shares if int(share) == step] for step in range(steps)],
            other_tab=source.random() if source.random() < 0.3 else None,
        )


def start_visit(
    program: NodeProgram, urls: Sequence[str], major: int, chat_id: str, flow: Sequence[Mapping[str, Any]], **more: Any
) -> Future[Any]:
    """Have the page's program do it; the future gets the fields of an `Outcome`."""
    headers = {"x-usechat-sdk": RELEASES[major]} if major in RELEASES else {}
    return program.start(
        "visit", urls=urls, chatId=chat_id, headers=headers, body={}, goesOn=major >= 5, flow=flow, **more
    )


def without_ids(value: Any) -> Any:
    """A message as it is in every chat with the same answers."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {name: without_ids(field) for name, field in fields.items() if name not in DRAWN_ANEW}
    if isinstance(value, list):
        return [without_ids(item) for item in cast("list[Any]", value)]
    return value
