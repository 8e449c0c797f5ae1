"""Answers made of foreign streams, as the clients of every major get them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any

from usechat import FinishEvent, ui_message_stream
from usechat.testing.client_rules import find_data_stream_refusals, find_refusals

__all__ = ["answered", "parts_of", "texts_of"]

VERSIONS = ((4, 3, 19), (5, 0, 0), (5, 0, 216), (6, 0, 0), (6, 0, 230), (7, 0, 0), (7, 0, 173))


async def answered(
    make: Callable[[], AsyncIterator[Any]], *, known_tool_calls: Iterable[str] = (), strict: bool = True
) -> FinishEvent:
    """Make the answer for each client, check that it is legal and whole, and return it as the newest one has it.

    Args:
        make: Makes the stream anew.
        known_tool_calls: The calls of the message that the answer continues.
        strict: Whether it must be legal without mending.
    """
    ended: list[FinishEvent] = []
    for version in VERSIONS:
        answer = ui_message_stream(make(), on_finish=ended.append)
        sdk = ".".join(map(str, version))
        options: Any = {"known_tool_calls": frozenset(known_tool_calls)} if known_tool_calls else {}
        status, _, body = await answer.stream({}, sdk=sdk, strict=strict, **options)
        sent = b"".join([piece async for piece in body])
        assert status == 200
        find = find_data_stream_refusals if version[0] == 4 else find_refusals
        assert find(sent, version, known_tool_calls=known_tool_calls) == []
    return ended[-1]


def parts_of(event: FinishEvent, type_: str) -> list[Mapping[str, Any]]:
    """Return the parts of a type in the client's message."""
    return [part for part in event.ui_message["parts"] if part["type"] == type_]


def texts_of(event: FinishEvent, type_: str = "text") -> list[str]:
    return [part["text"] for part in parts_of(event, type_)]
