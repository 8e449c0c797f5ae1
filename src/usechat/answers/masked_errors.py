"""Warns when tool errors are masked while the browser holds the history and the model has signed its thinking.

The history that comes back then differs from the one that the model read (AI SDK documentation, "Tool error text and
message history"). Models that check this refuse the request, unless they are asked to drop such thinking.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

__all__ = ["warn_of_masked_errors"]

logger = logging.getLogger(__name__)


def warn_of_masked_errors(calls: Collection[str], message: Mapping[str, Any]) -> None:
    """Log a warning, once in a process, when signed thinking follows a masked error.

    Args:
        calls: The calls with masked errors.
        message: The answer's message.
    """
    is_after = False
    for part in message.get("parts", ()):
        is_after = is_after or part.get("toolCallId") in calls
        if is_after and part.get("type") == "reasoning" and part.get("providerMetadata"):
            warn_once()
            return


@cache
def warn_once() -> None:
    logger.warning(
        "the browser was shown other words for a tool's error than the model, which has signed its thinking after it: "
        "a history that comes back from the browser does not match that thinking. Keep FinishEvent.tool_errors with "
        'the message, show the errors (tool_errors="shown"), or leave send_reasoning off. Claude models that can are '
        "asked to drop what does not match."
    )
