"""Parses partial JSON: a text that is still growing, or was cut.

Incomplete JSON is mended as the client does it (``ai/src/util/fix-json.ts``, ``parse-partial-json.ts``, 7.0.173): cut
back to the last place where a value ended or could end, then closed. One pass with a stack, no recursion; `RULES` is
the automaton. The automaton does not validate the text. The JSON parser does, and a text that it refuses has no value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from msgspec import UNSET

from usechat.json import decode_json
from usechat.unsafe_keys import refuse_unsafe_keys

__all__ = ["mend_json", "parse_partial_json"]


class Inside(Enum):
    """The context of a character."""

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
PLAIN_TEXT = re.compile(r'[^"\\]+')


def parse_partial_json(text: str) -> Any:
    """Return the value of ``text``, mended if it is incomplete; `msgspec.UNSET` when it has no value.

    A value with keys that the client's parser refuses (``__proto__``, ``constructor``) counts as no value.
    """
    for candidate in (text, mend_json(text)):
        try:
            value = refuse_unsafe_keys(candidate, decode_json(candidate))
        except ValueError:
            continue
        return value
    return UNSET


def mend_json(text: str) -> str:
    """Cut ``text`` back to where a value ended or could end, close all that is open there, and return it."""
    stack = [Inside.ROOT]
    end = 0
    literal_start = 0
    position = 0
    while position < len(text):
        inside = stack[-1]
        if inside is Inside.STRING and (plain := PLAIN_TEXT.match(text, position)) is not None:
            position = end = plain.end()
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
