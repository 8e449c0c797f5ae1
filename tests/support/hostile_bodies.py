"""Bodies that cost far more than their size, of any size: what a stranger posts to have a server work for itself alone.

Each is made of one thing that there is very much of. Whether a server takes it or refuses it, others must not wait.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

__all__ = ["BYTES_PER_VALUE", "CHATS", "LAST_IS_THEIRS", "LISTS", "QUESTION", "is_one_message", "make_chat"]

QUESTION: Final = "bench:2:0"
"""What is asked in the end, which the benchmark's upstream understands, too."""

Json = Mapping[str, Any]


def text(value: str) -> Json:
    return {"type": "text", "text": value}


def message(number: int, role: str, *parts: Json, **more: Any) -> Json:
    return {"id": f"m{number}", "role": role, "parts": [*parts], **more}


def user(number: int, *parts: Json, **more: Any) -> Json:
    return message(number, "user", *(parts or [text("tide")]), **more)


def call(number: int, **more: Any) -> Json:
    given = {"input": {"city": "Whitby"}, "output": {"rows": [1, 2, 3]}, "state": "output-available", **more}
    return {"type": "tool-get_weather", "toolCallId": f"call-{number}", **given}


def approval(number: int, approved: bool) -> Json:
    decision = {"id": f"approval-{number}", "approved": approved}
    given = {"type": "tool-delete_file", "state": "approval-responded", "approval": decision}
    return {"toolCallId": f"call-{number}", "input": {"path": "a"}, **given}


def one_message(part: Callable[[int], Json]) -> Callable[[int], list[Json]]:
    """Many parts of an assistant's message, in the middle of a chat."""
    return lambda count: [user(0), message(1, "assistant", *map(part, range(count)))]


LISTS: Final[Mapping[str, Callable[[int], list[Json]]]] = {
    "user messages in a row": lambda count: [user(number) for number in range(count)],
    "messages in turn": lambda count: [
        user(number) if number % 2 == 0 else message(number, "assistant", text("ebb")) for number in range(count)
    ],
    "empty messages": lambda count: [message(number, "assistant") for number in range(count)],
    "system messages": lambda count: [message(number, "system", text("Be brief.")) for number in range(count)],
    "messages of one id": lambda count: [user(0) for _ in range(count)],
    "answers of one id": lambda count: [message(1, "assistant", call(number)) for number in range(count)],
    "messages of AI SDK 4": lambda count: [
        {"role": "assistant" if number % 2 else "user", "content": "tide"} for number in range(count)
    ],
    "calls of one id, a message each": lambda count: [
        user(number) if number % 2 == 0 else message(number, "assistant", call(0)) for number in range(count)
    ],
    "open calls, a message each": lambda count: [
        user(number) if number % 2 == 0 else message(number, "assistant", call(number, state="input-available"))
        for number in range(count)
    ],
    "text parts": one_message(lambda number: text("ebb")),
    "reasoning parts": one_message(lambda number: {"type": "reasoning", "text": "So."}),
    "steps": one_message(lambda number: {"type": "step-start"} if number % 2 else text("ebb")),
    "data parts": one_message(lambda number: {"type": "data-tide", "data": {"at": number}}),
    "calls in one answer": one_message(call),
    "calls of one id in one answer": one_message(lambda number: call(0)),
    "provider's calls in one answer": one_message(lambda number: call(number, providerExecuted=True)),
    "steering messages": one_message(lambda number: {"type": "steering-message", "parts": [text("Faster.")]}),
    "parts of a user": lambda count: [user(0, *(text("tide") for _ in range(count)))],
    "files": lambda count: [
        user(
            0, *({"type": "file", "mediaType": "image/png", "url": f"https://a.example/{n}.png"} for n in range(count))
        )
    ],
    "wrong parts": lambda count: [user(0, *({"type": 7} for _ in range(count)))],
    "wrong messages": lambda count: [{"id": "m", "role": "nobody", "parts": []} for _ in range(count)],
}
"""Messages of which there are as many as asked for, or one of which has as many parts."""
LAST_IS_THEIRS: Final[Mapping[str, Callable[[int], list[Json]]]] = {
    "approvals": lambda count: [user(0), message(1, "assistant", *(approval(n, True) for n in range(count)))],
    "refusals": lambda count: [user(0), message(1, "assistant", *(approval(n, False) for n in range(count)))],
    "an answer to go on with": lambda count: [user(0), message(1, "assistant", *map(call, range(count)))],
}
"""As above; the answer is asked to go on."""


PNG: Final = "iVBORw0KGgoA"
"""How every image of this kind begins."""


def written_size(unit: str) -> int:
    """How many bytes it has in a body."""
    return len(json.dumps(unit, ensure_ascii=False).encode()) - len('""')


def of_text(unit: str) -> Callable[[int], bytes]:
    """A text of so many bytes."""
    return lambda size: make_chat([user(0, text(unit * (size // written_size(unit))))])


def of_file(unit: str, before: str = "data:image/png;base64,") -> Callable[[int], bytes]:
    """A file whose URL has so many bytes."""
    part = {"type": "file", "mediaType": "image/png"}
    return lambda size: make_chat(
        [user(0, {**part, "url": before + PNG + unit * (size // written_size(unit) // 4 * 4)})]
    )


def of_json(unit: str, opening: str = "[", closing: str = "]") -> Callable[[int], bytes]:
    """Metadata of so many bytes."""

    def make(size: int) -> bytes:
        items = ",".join([unit] * (size // (len(unit) + 1)))
        return make_chat([user(0, metadata="here")]).replace(b'"here"', f"{opening}{items}{closing}".encode(), 1)

    return make


def of_keys(size: int) -> bytes:
    """Metadata of one object with very many keys."""
    return make_chat([user(0, metadata={f"k{number}": 1 for number in range(size // 12)})])


def of_output(size: int) -> bytes:
    """A tool's output of very many numbers."""
    return make_chat([user(0), message(1, "assistant", call(0, output=[0.1] * (size // 4)))])


def of_depth(size: int) -> bytes:
    """A tool's output that is nested nearly as deep as may be."""
    depth = 150
    return of_json('"ebb"', "[" * depth, "]" * depth)(size)


def broken(size: int) -> bytes:
    """A chat that is no JSON at its very end."""
    return of_json('"ebb"')(size) + b"}"


def surrogates(size: int) -> bytes:
    """A text of halves of UTF-16 pairs."""
    return of_text("here")(4).replace(b"here", b"\\ud800" * (size // 6), 1)


CHATS: Final[Mapping[str, Callable[[int], bytes]]] = {
    "text of letters": of_text("tide "),
    "text of quotes": of_text('"'),
    "text of commas": of_text(","),
    "text of spaces": of_text(" "),
    "text of a ligature": of_text("\ufdfa"),
    "text of accents": of_text("e\u0301\u0323"),
    "text of wide letters": of_text("\uff21"),
    "text of half pairs": surrogates,
    "base64": of_file("AAAA"),
    "base64 in short lines": of_file("A\n"),
    "a file in escapes": of_file("%41"),
    "a file of semicolons": of_file(";", "data:"),
    "a long URL": of_file("\u00e9", "https://a.example/"),
    "empty lists": of_json("[]"),
    "lists in lists": of_json("[[[]]]"),
    "objects": of_json('{"a":{}}'),
    "numbers": of_json("1"),
    "words": of_json('"a"'),
    "keys": of_keys,
    "numbers of a tool": of_output,
    "depth": of_depth,
    "broken JSON": broken,
    "open brackets": lambda size: b"[" * size,
    "quotes": lambda size: b'"' * size,
    "backslashes": lambda size: b'{"messages":"' + b"\\" * size,
    "digits": lambda size: b'{"messages":' + b"1" * size + b"}",
    "zeros": bytes,
}
"""Bodies of about so many bytes."""
BYTES_PER_VALUE: Final[Mapping[str, float]] = {
    "empty lists": 1.5,
    "lists in lists": 1.75,
    "objects": 3,
    "numbers": 2,
    "words": 4,
    "keys": 13,
    "numbers of a tool": 4,
}
"""How large those of them are that hold very many values."""


def is_one_message(name: str) -> bool:
    """Whether a body of `LISTS` or `LAST_IS_THEIRS` is one message of many parts, not many messages."""
    make = LISTS.get(name) or LAST_IS_THEIRS[name]
    return len(make(9)) < 9


NUMBERS = count()


def make_chat(messages: list[Json], *, asks: bool = True, chat: str | None = None) -> bytes:
    """The body of a chat that ends in a question; of a new chat, unless its id is given."""
    question = [{"id": "last", "role": "user", "parts": [text(QUESTION)]}] if asks else []
    first = [{"id": "first", "role": "user", "parts": [text(QUESTION)]}] if not asks else []
    body: dict[str, Any] = {"id": chat or f"chat-{next(NUMBERS)}", "trigger": "submit-message"}
    body["messages"] = [*first, *messages, *question]
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
