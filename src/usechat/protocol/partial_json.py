"""Parses partial JSON: a text that is still growing, or was cut.

Incomplete JSON is mended as the client does it (``ai/src/util/fix-json.ts``, ``parse-partial-json.ts``, 7.0.173): cut
back to the last place where a value ended or could end, then closed. One pass with a stack, no recursion; `RULES` is
the automaton. The automaton does not validate the text. The JSON parser does, and a text that it refuses has no value.

Nothing here may hold up an event loop: what lies between quotes is skipped in bulk, and a text that takes more than
`MAX_STEPS` besides, or is longer than `MAX_LENGTH`, has no value. The client has one; no page would read it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple

from msgspec import UNSET

from usechat.json import decode_json
from usechat.unsafe_keys import refuse_unsafe_keys

__all__ = ["MAX_STEPS", "SHORT", "mend_json", "parse_partial_json", "parse_whole_json"]


class Inside(IntEnum):
    """The context of a character. A number, because Python computes the hash of any other member anew at each use."""

    ROOT = 0
    AFTER_ROOT = 1
    STRING = 2
    ESCAPE = 3
    HEX_4 = 4
    HEX_3 = 5
    HEX_2 = 6
    HEX_1 = 7
    NUMBER = 8
    LITERAL = 9
    OBJECT = 10
    KEY = 11
    AFTER_KEY = 12
    BEFORE_VALUE = 13
    AFTER_VALUE = 14
    AFTER_COMMA = 15
    ARRAY = 16
    AFTER_ITEM = 17
    AFTER_ITEM_COMMA = 18


class Rule(NamedTuple):
    """The effect of a character: the states that replace the innermost one, and whether the text may end there."""

    states: tuple[Inside, ...]
    ends: bool


DIGITS = "0123456789"
HEX_DIGITS = DIGITS + "abcdefABCDEF"


def value_starts(after: Inside) -> dict[str, Rule]:
    """Return the rules of characters that begin a value; ``after`` is the state after the value."""
    return {
        '"': Rule((after, Inside.STRING), ends=True),
        "{": Rule((after, Inside.OBJECT), ends=True),
        "[": Rule((after, Inside.ARRAY), ends=True),
        "-": Rule((after, Inside.NUMBER), ends=False),
        **dict.fromkeys(DIGITS, Rule((after, Inside.NUMBER), ends=True)),
        **dict.fromkeys("tfn", Rule((after, Inside.LITERAL), ends=True)),
    }


RULES: dict[Inside, Mapping[str, Rule]] = {
    Inside.ROOT: value_starts(Inside.AFTER_ROOT),
    Inside.AFTER_ROOT: {},
    Inside.STRING: {'"': Rule((), ends=True), "\\": Rule((Inside.STRING, Inside.ESCAPE), ends=False)},
    Inside.ESCAPE: {"u": Rule((Inside.HEX_4,), ends=False)},
    Inside.HEX_4: dict.fromkeys(HEX_DIGITS, Rule((Inside.HEX_3,), ends=False)),
    Inside.HEX_3: dict.fromkeys(HEX_DIGITS, Rule((Inside.HEX_2,), ends=False)),
    Inside.HEX_2: dict.fromkeys(HEX_DIGITS, Rule((Inside.HEX_1,), ends=False)),
    Inside.HEX_1: dict.fromkeys(HEX_DIGITS, Rule((), ends=True)),
    Inside.NUMBER: {
        **dict.fromkeys(DIGITS, Rule((Inside.NUMBER,), ends=True)),
        **dict.fromkeys("eE-.", Rule((Inside.NUMBER,), ends=False)),
    },
    Inside.LITERAL: {},
    Inside.OBJECT: {'"': Rule((Inside.KEY,), ends=False), "}": Rule((), ends=True)},
    Inside.KEY: {'"': Rule((Inside.AFTER_KEY,), ends=False)},
    Inside.AFTER_KEY: {":": Rule((Inside.BEFORE_VALUE,), ends=False)},
    Inside.BEFORE_VALUE: value_starts(Inside.AFTER_VALUE),
    Inside.AFTER_VALUE: {",": Rule((Inside.AFTER_COMMA,), ends=False), "}": Rule((), ends=True)},
    Inside.AFTER_COMMA: {'"': Rule((Inside.KEY,), ends=False)},
    Inside.ARRAY: {**value_starts(Inside.AFTER_ITEM), "]": Rule((), ends=True)},
    Inside.AFTER_ITEM: {",": Rule((Inside.AFTER_ITEM_COMMA,), ends=False), "]": Rule((), ends=True)},
    Inside.AFTER_ITEM_COMMA: value_starts(Inside.AFTER_ITEM),
}
"""The rules by state and character. For other characters, `OTHERWISE` applies."""

OTHERWISE: dict[Inside, Rule] = {
    Inside.STRING: Rule((Inside.STRING,), ends=True),
    Inside.ESCAPE: Rule((), ends=True),
    Inside.AFTER_ITEM: Rule((Inside.AFTER_ITEM,), ends=True),
}

CLOSES: dict[Inside, str] = {
    Inside.STRING: '"',
    **dict.fromkeys(
        (
            Inside.OBJECT,
            Inside.KEY,
            Inside.AFTER_KEY,
            Inside.BEFORE_VALUE,
            Inside.AFTER_VALUE,
            Inside.AFTER_COMMA,
        ),
        "}",
    ),
    **dict.fromkeys((Inside.ARRAY, Inside.AFTER_ITEM, Inside.AFTER_ITEM_COMMA), "]"),
}
"""The text that closes each open state at the end."""

BARE = (Inside.NUMBER, Inside.LITERAL)
"""Values without a closing character: the next character ends them."""
LITERALS = ("true", "false", "null")
MAX_STEPS: Final = 150_000
"""The most steps for one text: some 30 ms."""
MAX_LENGTH: Final = 8 * 2**20
"""The most characters of a text that is mended. To copy and to parse twice as many can take 100 ms."""
ESCAPES_A_STEP: Final = 4
"""How many escapes the regular expression reads in the time of a step."""
SHORT: Final = 2**20
"""Characters up to which a text may be parsed in vain, which takes some 10 ms."""
ESCAPES: Final = re.compile(r'(?:\\(?:[^u]|u[0-9a-fA-F]{4})[^"\\]{0,64}){1,500}')
"""Whole escapes, and a little of the text after each. No more, because the engine keeps a way back to each."""


def parse_partial_json(text: str) -> Any:
    """Return the value of ``text``, mended if it is incomplete; `msgspec.UNSET` when it has no value.

    A value with keys that the client's parser refuses (``__proto__``, ``constructor``) counts as no value. So does the
    value of a text of more than `SHORT` characters that takes too long to mend.
    """
    values = map(parse_whole_json, candidates(text))
    return next((value for value in values if value is not UNSET), UNSET)


def parse_whole_json(text: str) -> Any:
    """Return the value of ``text``; `msgspec.UNSET` when it is not whole, or has keys that clients refuse."""
    try:
        return refuse_unsafe_keys(text, decode_json(text))
    except ValueError:
        return UNSET


def candidates(text: str) -> Iterator[str]:
    """Yield what may have the value of a text, as JSON."""
    if len(text) <= SHORT:
        yield text
    mended = mend_json(text) if len(text) <= MAX_LENGTH else None
    if mended is not None:
        yield mended
        if len(text) > SHORT:
            yield text


def mend_json(text: str) -> str | None:
    """Cut ``text`` back to where a value ended or could end, close all that is open there, and return it.

    Return None when that takes more than `MAX_STEPS`.
    """
    stack = [Inside.ROOT]
    end = 0
    literal_start = 0
    position = 0
    steps = 0
    strings = Strings(text)
    while position < len(text):
        steps += 1
        if steps + strings.escapes // ESCAPES_A_STEP > MAX_STEPS:
            return None
        inside = stack[-1]
        if inside is Inside.STRING and (after := strings.skip(position)) > position:
            position = end = after
            continue
        character = text[position]
        position += 1
        if inside is Inside.LITERAL and is_literal(text[literal_start:position]):
            end = position
            continue
        rule = find_rule(stack, character)
        if rule is None:
            continue
        stack[-1:] = rule.states
        if stack[-1:] == [Inside.LITERAL]:
            literal_start = position - 1
        if rule.ends:
            end = position
    rest = literal_rest(text[literal_start:]) if stack[-1] is Inside.LITERAL else ""
    return text[:end] + rest + "".join(CLOSES.get(inside, "") for inside in reversed(stack))


class Strings:
    """Skips what is between quotes, in bulk.

    Args:
        text: The whole text.
    """

    __slots__ = ("backslash", "escapes", "quote", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.escapes = 0
        """How many escapes were skipped."""
        self.quote = self.backslash = -1
        """The next of each. Kept until it is passed: a search for each escape could be one of the whole text."""

    def skip(self, position: int) -> int:
        """Return the end of the plain text, or of the whole escapes, that begin here within a string."""
        text = self.text
        if self.quote < position:
            self.quote = find(text, '"', position)
        if self.backslash < position:
            self.backslash = find(text, "\\", position)
        nearest = min(self.quote, self.backslash)
        if nearest > position or nearest == self.quote:
            return nearest
        escapes = ESCAPES.match(text, position)
        if escapes is None:
            return position
        self.escapes += text.count("\\", position, escapes.end())
        return escapes.end()


def find(text: str, character: str, position: int) -> int:
    """Return where a character is next, or the end of the text."""
    found = text.find(character, position)
    return len(text) if found < 0 else found


def find_rule(stack: list[Inside], character: str) -> Rule | None:
    """Return the rule for the innermost state. First pop a number or literal that ``character`` ends."""
    inside = stack[-1]
    rule = RULES[inside].get(character)
    if rule is not None or inside not in BARE:
        return rule or OTHERWISE.get(inside)
    stack.pop()
    return RULES[stack[-1]].get(character)


def is_literal(text: str) -> bool:
    return any(literal.startswith(text) for literal in LITERALS)


def literal_rest(text: str) -> str:
    return next(literal[len(text) :] for literal in LITERALS if literal.startswith(text))
