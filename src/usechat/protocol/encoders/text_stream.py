"""The text stream: nothing but the text (PROTOCOL.md section 7). It cannot say that anything went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from usechat import parts as p
from usechat.protocol.encoders.base import PROXY_HEADERS

__all__ = ["TextStreamEncoder"]


class TextStreamEncoder:
    """Text deltas of all steps, one after the other, as UTF-8."""

    headers: Mapping[str, str] = {"content-type": "text/plain; charset=utf-8", **PROXY_HEADERS}
    opening = b""
    heartbeat = None

    def __init__(self) -> None:
        self.half_character = ""

    def feed(self, part: p.Part) -> bytes:
        """The text of a text delta; nothing for any other part."""
        return self.feed_all((part,))

    def feed_all(self, parts: Iterable[p.Part | p.DeltaRun]) -> bytes:
        """The text of all text deltas among ``parts``."""
        text = self.half_character + "".join(
            [part.delta for part in p.one_by_one(parts) if isinstance(part, p.TextDelta)]
        )
        # UTF-8 has no lone surrogates: half of a pair waits for the other half.
        held = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        self.half_character = held
        return encode_text(text.removesuffix(held) if held else text)

    def finish(self) -> bytes:
        """What was held back."""
        return encode_text(self.half_character)


def encode_text(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Pairs become characters; a surrogate that is really alone becomes U+FFFD, as JavaScript's encoder has it.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
