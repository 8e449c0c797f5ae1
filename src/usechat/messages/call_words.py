"""Words for the model about a tool call that has no result of its own.

They are the same in an answer and in all later turns: other words would change a cached prefix.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["DENIED", "FAILED", "INTERRUPTED", "NOT_ANSWERED", "NOT_CARRIED_OUT", "words_or"]

INTERRUPTED: Final = "The tool call was interrupted. It may have taken effect."
"""The call has begun, or nobody knows whether it has, and its outcome is unknown."""
NOT_CARRIED_OUT: Final = "The tool call was not carried out."
"""The call has never begun."""
NOT_ANSWERED: Final = "The user was asked to approve this tool call and did not answer. It was not carried out."
FAILED: Final = "The tool failed."
"""In place of an error without words: the Messages API refuses an empty error, in this turn and in all later ones."""
DENIED: Final = "Tool call execution denied."
"""In place of a denial without a reason, as in AI SDK 6 and 7."""


def words_or(value: Any, default: str) -> str:
    """Return the value as text, or the default if the text is blank."""
    text = "" if value is None else str(value)
    return text if text.strip() else default
