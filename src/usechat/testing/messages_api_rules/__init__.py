"""The Messages API's rules for a request, as far as they can be known without asking it.

Each rule has a name and a source: the API's own words where it refuses, or the page that says so. Point it at the
bodies that your backend sends and no history of any client will surprise you with a 400.

    from usechat.testing.messages_api_rules import find_violations

    assert find_violations(body) == []

It knows wire JSON only, none of this package's own types.
"""

from __future__ import annotations

from typing import Final

import msgspec

from usechat.testing.messages_api_rules import messages, settings, tools
from usechat.testing.messages_api_rules.base import Json, Rule

__all__ = ["RULES", "Rule", "Violation", "find_violations"]

RULES: Final[tuple[Rule, ...]] = (*messages.RULES, *tools.RULES, *settings.RULES)
"""Every rule known here."""


class Violation(msgspec.Struct, frozen=True):
    """A place in a request that breaks a rule."""

    rule: str
    path: str


def find_violations(body: Json) -> list[Violation]:
    """Return every place in a request body that breaks a rule, in the order of the rules."""
    return [Violation(rule.name, path) for rule in RULES for path in rule.check(body)]
