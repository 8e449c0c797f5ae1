"""Fields of a client's messages that may steer the provider's request: those that the settings name, and no others.

A part of a message carries the provider's own options: where the prompt is cached and for how long, which file of the
account is meant, what a tool of the provider answered. The operator pays for the first, owns the second and trusts the
third. So the model gets none of them, unless the settings name them. What is stored and sent back to the client keeps
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from usechat.messages.text_files import unreadable_note
from usechat.messages.ui import UIMessage

__all__ = ["ClientFields"]

METADATA: Final = ("providerMetadata", "callProviderMetadata", "resultProviderMetadata")
REFERENCE: Final = "providerReference"
EXECUTED: Final = "providerExecuted"
HARMLESS: Final = frozenset({"signature", "redacteddata", "type"})
"""What makes reasoning and compacted text readable again. The provider checks both by the signature."""


class ClientFields:
    """Take out of messages what may steer the provider's request.

    Args:
        allowed: The names of options that may stay, such as ``cacheControl``; ``providerReference`` and
            ``providerExecuted`` for files of the account and results of the provider's tools.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self.allowed = HARMLESS | {plain(name) for name in allowed}
        self.has_references = plain(REFERENCE) in self.allowed
        self.has_results = plain(EXECUTED) in self.allowed

    def clean(self, messages: Sequence[UIMessage], *, trusts_answers: bool = False) -> Sequence[UIMessage]:
        """Return the messages; those that hold something else are copied.

        Args:
            messages: What a client has sent, or what is stored of it.
            trusts_answers: Whether the assistant's messages are the server's own.
        """
        return [
            message if trusts_answers and message.role == "assistant" else self.clean_message(message)
            for message in messages
        ]

    def clean_message(self, message: UIMessage) -> UIMessage:
        """Return the message itself, or a copy without what may steer."""
        for part in message.parts:
            if not part.keys().isdisjoint(SUSPECT):
                parts = [cleaned for each in message.parts if (cleaned := self.clean_part(each)) is not None]
                return message.model_copy(update={"parts": parts})
        return message

    def clean_part(self, part: dict[str, Any]) -> dict[str, Any] | None:
        """Return a part without what may steer; None for one that is nothing else."""
        if part.get(EXECUTED) is True and not self.has_results:
            return None
        if part.get(REFERENCE) is not None and not self.has_references:
            return {"type": "text", "text": unreadable_note(part.get("filename"))}
        return {key: self.clean_options(value) if key in METADATA else value for key, value in part.items()}

    def clean_options(self, given: Any) -> Any:
        """Return provider metadata with the allowed options of each provider."""
        if not isinstance(given, Mapping):
            return None
        by_provider = cast("Mapping[str, Any]", given)
        return {
            name: self._clean_own(cast("Mapping[str, Any]", value))
            for name, value in by_provider.items()
            if isinstance(value, Mapping)
        }

    def _clean_own(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in options.items() if plain(name) in self.allowed}


SUSPECT: Final = frozenset({*METADATA, REFERENCE, EXECUTED})


def plain(name: str) -> str:
    """Return a name in one spelling: providers take ``cacheControl`` and ``cache_control``."""
    return name.replace("_", "").lower()
