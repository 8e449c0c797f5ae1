"""The provider's response behind a step: its id, its headers and what they say of rate limits. Knows no provider."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

__all__ = ["ModelResponse", "RateLimit"]

ANTHROPIC = re.compile(r"(?:[a-z]+-)?ratelimit-(?P<what>.+)-(?P<which>limit|remaining|reset)")
"""As in ``anthropic-ratelimit-input-tokens-remaining``."""
OPENAI = re.compile(r"x-ratelimit-(?P<which>limit|remaining|reset)-(?P<what>.+)")
"""As in ``x-ratelimit-remaining-tokens``, which servers with the API of OpenAI send."""


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's account of one of its limits. None where it gives none."""

    limit: int | None = None
    """How much is allowed in a span of time."""
    remaining: int | None = None
    """How much is left of it."""
    reset: str | None = None
    """When it is whole again, in the provider's words: a time such as ``2026-01-01T00:00:00Z``, or a duration."""


class ModelResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The response of a provider to one model call."""

    id: str | None = None
    """The provider's id of the answer."""
    model_id: str | None = None
    """The model that answered."""
    raw_headers: Sequence[tuple[bytes, bytes]] = ()

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, with names in lower case; values of the same name are joined by commas."""
        found: dict[str, str] = {}
        for raw_name, raw_value in self.raw_headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request, for its support."""
        headers = self.headers
        return headers.get("request-id") or headers.get("x-request-id")

    @property
    def retry_after(self) -> float | None:
        """Seconds that the provider asks to wait before the next request; None when it asks for none."""
        try:
            return max(0.0, float(self.headers["retry-after"]))
        except (KeyError, ValueError):
            return None

    @property
    def rate_limits(self) -> Mapping[str, RateLimit]:
        """The provider's limits by what they count, such as ``requests`` and ``input-tokens``."""
        found: dict[str, dict[str, str]] = {}
        for name, value in self.headers.items():
            if (match := OPENAI.fullmatch(name) or ANTHROPIC.fullmatch(name)) is not None:
                found.setdefault(match["what"], {})[match["which"]] = value
        return {
            what: RateLimit(
                limit=read_count(said.get("limit")),
                remaining=read_count(said.get("remaining")),
                reset=said.get("reset"),
            )
            for what, said in found.items()
        }


def read_count(text: str | None) -> int | None:
    """Return a count; None for a header that is missing or holds none."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 20 else None
