"""Partial JSON: the value of a JSON text that is still growing, or was cut.

A text that is no JSON yet is mended as the client does it (``ai/src/util/fix-json.ts``, ``parse-partial-json.ts``,
7.0.173): cut back to the last place where a value ended or could end, and closed from there. One pass, a stack, no
recursion; `RULES` is the automaton. It does not check the text: the parser behind it does, and what that refuses has
no value.
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
    """What a character stands in."""

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
    """What a character does: what stands in place of the innermost state, and whether the text may end there."""

    states: tuple[Inside, ...]
    ends: bool


DIGITS = "0123456789"
HEX_DIGITS = DIGITS + "abcdefABCDEF"


def value_starts(after: Inside) -> dict[str, Rule]:
    """Return the characters a value can begin with; ``after`` is what its end leads to."""
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
"""A character without a rule changes nothing, but for `OTHERWISE`."""

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
"""What is due at the end of the text for each state that is open."""

BARE = (Inside.NUMBER, Inside.LITERAL)
"""Values without an end of their own: what follows them ends them."""
LITERALS = ("true", "false", "null")
PLAIN_TEXT = re.compile(r'[^"\\]+')


def parse_partial_json(text: str) -> Any:
    """Return the value of ``text``, mended where it is no JSON yet; `msgspec.UNSET` where there is none.

    A value that the client's parser refuses, for its keys ``__proto__`` or ``constructor``, is none either.
    """
    for candidate in (text, mend_json(text)):
        try:
            value = refuse_unsafe_keys(candidate, decode_json(candidate))
        except ValueError:
            continue
        return value
    return UNSET


def mend_json(text: str) -> str:
    """Return ``text`` cut back to where a value ended or could end, with everything that is open there closed."""
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
