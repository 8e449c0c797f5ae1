"""Bodies of ``useChat`` as clients should not send them, and as some do: legal ones, with odd values in odd places."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from typing import Any, cast

from hypothesis import strategies as st

__all__ = ["bodies", "json_text", "nested", "values"]

HALF = "\ud83d"
TEXTS = (
    "",
    " ",
    "a",
    "Hello there",
    HALF,
    f"{HALF} hello",
    "\ude00\ud83d",
    "😀",
    "\x00",
    "a\x00b",
    "\\ud83d",
    "%41",
    "é",
)
IDS = (
    *("c", "a/b", "a/", "/", "//", ".", "..", "a/../b", "a/./b", "%2F", "%41", "a b", " ", "a+b", "a?b", "a#b", "a\\b"),
    *("a.b", "...", "export", "a/export", "stream", "a/stream", "a/stop", "ws", "é", "😀", HALF, "\x00", "a\n", "\t"),
    *(
        "\x7f",
        "\x85",
        "\u2028",
        "\ufffd",
        "\ufeff",
        "a" * 999,
        "a" * 1001,
        "é" * 600,
        "\\" * 200,
        "'\"<>&;:@=",
        "%zz",
        "",
    ),
)
NUMBERS = (
    0,
    -0.0,
    1,
    -1,
    0.1,
    1e-7,
    1e21,
    2**53 + 1,
    2**63,
    2**64 - 1,
    2**64,
    -(2**63),
    -(2**63) - 1,
    -(2**64) + 1,
    10**30,
)
TOO_LARGE = "the number 1e400"
"""Stands for a number that is in no Python value, and is put into the text."""
ROLES = ("user", "assistant", "system", "data")


def nested(depth: int, *, in_lists: bool = False) -> Any:
    """A value that is nested so deep."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if in_lists else {"a": value}
    return value


@cache
def texts() -> st.SearchStrategy[str]:
    return st.sampled_from(TEXTS) | st.text(st.characters(exclude_categories=()), max_size=6)


@cache
def ids() -> st.SearchStrategy[str]:
    return st.sampled_from(IDS) | st.text(st.characters(exclude_categories=()), min_size=1, max_size=6)


@cache
def values() -> st.SearchStrategy[Any]:
    """Any JSON, and what only looks like it."""
    leaves = st.one_of(
        st.none(), st.booleans(), st.sampled_from(NUMBERS), st.just(TOO_LARGE), texts(), st.just(math.nan)
    )
    deep = st.builds(nested, st.sampled_from([3, 100, 180, 190, 196, 199, 205, 400, 900, 1500]), in_lists=st.booleans())
    several = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3), max_leaves=5
    )
    return st.one_of(leaves, leaves, several, several, deep)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object of these keys, most of them there."""
    return st.fixed_dictionaries({}, optional=fields)


@cache
def parts() -> st.SearchStrategy[dict[str, Any]]:
    text, value, call = texts(), values(), st.sampled_from(["t1", "t2", HALF, "toolu_\x00"])
    states = st.sampled_from(
        [
            "input-streaming",
            "input-available",
            "output-available",
            "output-error",
            "output-denied",
            "approval-requested",
        ]
    )
    tool = {"toolCallId": call, "state": states, "input": value, "output": value, "errorText": text}
    file = {"mediaType": st.sampled_from(["image/png", "text/plain", HALF])}
    urls = st.sampled_from(["data:image/png;base64,iVBORw0KGgo=", "https://example.org/a.png", "data:,a", HALF])
    invocation = some(toolCallId=call, toolName=st.just("f"), state=st.just("result"), args=value, result=value)
    plain = st.one_of(
        st.fixed_dictionaries({"type": st.just("text"), "text": text}),
        st.fixed_dictionaries(
            {"type": st.just("text"), "text": text}, optional={"state": text, "providerMetadata": value}
        ),
        st.fixed_dictionaries({"type": st.just("reasoning"), "text": text}, optional={"providerMetadata": value}),
        st.fixed_dictionaries({"type": st.just("file"), "url": urls, **file}, optional={"filename": text}),
        st.fixed_dictionaries({"type": st.sampled_from(["data-x", "data-", f"data-{HALF}"]), "data": value}),
        st.fixed_dictionaries({"type": st.just("source-url"), "sourceId": text, "url": text}, optional={"title": text}),
        st.fixed_dictionaries({"type": st.just("step-start")}),
        st.fixed_dictionaries({"type": st.sampled_from(["tool-f", "tool-", f"tool-{HALF}"]), **tool}),
        st.fixed_dictionaries({"type": st.just("dynamic-tool"), "toolName": text, **tool}),
        st.fixed_dictionaries({"type": texts()}, optional={"a": value}),
        # AI SDK 4's.
        st.fixed_dictionaries({"type": st.just("tool-invocation"), "toolInvocation": invocation}),
        st.fixed_dictionaries({"type": st.just("reasoning"), "reasoning": text}, optional={"details": value}),
    )
    steering = st.fixed_dictionaries({"type": st.just("steering-message"), "parts": st.lists(plain, max_size=2)})
    return st.one_of(plain, plain, plain, plain, steering)


@cache
def messages() -> st.SearchStrategy[dict[str, Any]]:
    common = {"role": st.sampled_from(["user", "user", *ROLES])}
    extra = {"metadata": values(), "createdAt": texts(), "annotations": values()}
    later = st.fixed_dictionaries(
        {"id": st.sampled_from(["m1", "m2", "m3", "m4"]) | ids(), **common, "parts": st.lists(parts(), max_size=3)},
        optional=extra,
    )
    older = st.fixed_dictionaries({**common, "content": texts()}, optional={"id": ids(), "data": values(), **extra})
    return st.one_of(later, later, later, older)


@cache
def usual_bodies() -> st.SearchStrategy[dict[str, Any]]:
    triggers = st.sampled_from(["submit-message", "regenerate-message"]) | texts()
    extra = {"trigger": triggers, "messageId": ids(), "model": texts(), "data": values()}
    return st.fixed_dictionaries(
        {"id": ids(), "messages": st.lists(messages(), min_size=1, max_size=4)}, optional=extra
    )


@st.composite
def bodies(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    """A body, with up to two things in it replaced, removed or added."""
    body = draw(usual_bodies())
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        holders = holders_in(body)
        if not holders:
            break
        mutate(draw, draw(st.sampled_from(holders)))
    return body


def holders_in(value: Any) -> list[Any]:
    found: list[Any] = []
    left: list[Any] = [value]
    # Not all of what is nested deep: there is no sense in hundreds of places for the same.
    while left and len(found) < 60:
        holder = left.pop(0)
        if isinstance(holder, dict) and holder:
            found.append(holder)
            left += cast("dict[str, Any]", holder).values()
        elif isinstance(holder, list) and holder:
            found.append(holder)
            left += cast("list[Any]", holder)
    return found


def mutate(draw: Callable[[st.SearchStrategy[Any]], Any], holder: Any) -> None:
    places: list[Any] = [*holder] if isinstance(holder, dict) else [*range(len(holder))]
    place = draw(st.sampled_from(places))
    match draw(st.sampled_from(["replace", "replace", "remove", "add"])):
        case "replace":
            holder[place] = draw(values())
        case "remove":
            del holder[place]
        case _ if isinstance(holder, dict):
            holder[draw(texts())] = draw(values())
        case _:
            holder.append(draw(values()))


def json_text(value: Any) -> bytes:
    """The text of a body, as `JSON.stringify` would write it; also what Python cannot hold, or JSON."""
    pieces: list[str] = []
    write_into(value, pieces.append)
    return "".join(pieces).encode()


def write_into(value: Any, write: Callable[[str], Any]) -> None:
    # Without a call for each level: some values are nested deeper than calls may be.
    left: list[Any] = [value]
    while left:
        holder: Any = left.pop()
        match holder:
            case Mark() as mark:
                write(mark)
            case dict():
                items = list(cast("dict[str, Any]", holder).items())
                left.append(Mark("}"))
                for index, (key, item) in reversed([*enumerate(items)]):
                    left += [item, Mark(f"{',' if index else ''}{json.dumps(key)}:")]
                left.append(Mark("{"))
            case list():
                left.append(Mark("]"))
                for index, item in reversed([*enumerate(cast("list[Any]", holder))]):
                    left += [item, Mark("," if index else "")]
                left.append(Mark("["))
            case other if other == TOO_LARGE:
                write("1e400")
            case other:
                write(json.dumps(other))


class Mark(str):
    """A piece of the text, not of the value."""

    __slots__ = ()
