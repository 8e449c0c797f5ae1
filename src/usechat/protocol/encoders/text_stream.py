"""The text stream: only the text (docs/protocol.md, Text stream). The format has no frame for errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from usechat.parts import TextDelta
from usechat.protocol.encoders.base import PROXY_HEADERS, Encoder
from usechat.protocol.shaping import ChunkShaper, Deltas, Shaped

__all__ = ["TextStreamEncoder"]


class TextStreamEncoder(Encoder):
    """Encode the text deltas of all steps, one after the other, as UTF-8."""

    headers: Mapping[str, str] = {"content-type": "text/plain; charset=utf-8", **PROXY_HEADERS}

    tells_errors = False

    __slots__ = ("half_character",)

    def __init__(self, shaper: ChunkShaper) -> None:
        super().__init__(shaper)
        self.half_character = ""

    def encode(self, shaped: Iterable[Shaped]) -> bytes:
        """Return the text of all text deltas."""
        text = self.half_character + "".join(text_of(each) for each in shaped)
        # UTF-8 has no lone surrogates, so the first half of a pair is held until the second comes.
        held = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        self.half_character = held
        return encode_text(text.removesuffix(held) if held else text)

    def terminator(self) -> bytes:
        """Return the surrogate that is held. The format has no terminator."""
        return encode_text(self.half_character)


def text_of(shaped: Shaped) -> str:
    if isinstance(shaped, Deltas):
        return "".join(shaped.texts) if shaped.kind is TextDelta else ""
    return shaped.part.delta if isinstance(shaped.part, TextDelta) else ""


def encode_text(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Pairs become characters. A lone surrogate becomes U+FFFD, as in JavaScript's TextEncoder.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
