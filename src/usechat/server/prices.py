"""Prices of models, which the operator sets, and the cost of an answer. Knows no model by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from usechat.parts import Usage

__all__ = ["Price", "check_price", "read_prices"]

_NUMBER: Final = r"\d{1,9}(?:\.\d{1,9})?"
_PRICE: Final = re.compile(rf"(?P<model>[^\s=]+)={_NUMBER}/{_NUMBER}(?:/{_NUMBER}/{_NUMBER})?", re.ASCII)
_MILLION: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Price:
    """US dollars for a million tokens of one model."""

    input: float
    output: float
    cache_read: float
    cache_write: float

    def cost(self, usage: Usage) -> float | None:
        """Return what an answer comes to, in US dollars; None where its provider did not count it."""
        if usage.input is None or usage.output is None:
            return None
        dollars = (
            (usage.input_no_cache or 0) * self.input
            + (usage.input_cache_read or 0) * self.cache_read
            + (usage.input_cache_write or 0) * self.cache_write
            + usage.output * self.output
        )
        return round(dollars / _MILLION, 8)


def check_price(text: str) -> str:
    """Return the text of a price as it is.

    Raises:
        ValueError: It is none.
    """
    if _PRICE.fullmatch(text) is None:
        raise ValueError("no price")
    return text


def read_prices(texts: Iterable[str]) -> Mapping[str, Price]:
    """Return the prices by the model's name.

    Args:
        texts: Each ``MODEL=INPUT/OUTPUT`` or ``MODEL=INPUT/OUTPUT/CACHE READ/CACHE WRITE``. Without the last two,
            tokens of a cache cost what other input costs.
    """
    prices: dict[str, Price] = {}
    for text in texts:
        model, _, numbers = text.rpartition("=")
        given, output, *cache = map(float, numbers.split("/"))
        read, written = cache or (given, given)
        prices[model] = Price(input=given, output=output, cache_read=read, cache_write=written)
    return prices
