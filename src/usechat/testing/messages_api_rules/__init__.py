"""The Messages API's rules for a request body, as far as they are documented or known from its error texts.

Each rule has a name and a source: the API's error text, or the page of its documentation. Check the bodies that your
backend sends, and you find the histories that the API would refuse with status 400.

    from usechat.testing.messages_api_rules import find_violations

    assert find_violations(body) == []

Knows wire JSON only, and none of this package's types.
"""

from __future__ import annotations

from typing import Final

import msgspec

from usechat.testing.messages_api_rules import messages, settings, tools
from usechat.testing.messages_api_rules.base import Json, Rule

__all__ = ["RULES", "Rule", "Violation", "find_violations"]

RULES: Final[tuple[Rule, ...]] = (*messages.RULES, *tools.RULES, *settings.RULES)
"""All rules."""


class Violation(msgspec.Struct, frozen=True):
    """A place in a request that breaks a rule."""

    rule: str
    path: str


def find_violations(body: Json) -> list[Violation]:
    """Return every place in a request body that breaks a rule, in the order of the rules."""
    return [Violation(rule.name, path) for rule in RULES for path in rule.check(body)]
