"""What an answer comes to by the prices that the operator sets."""

from __future__ import annotations

import pytest

from usechat.parts import Usage
from usechat.server.prices import read_prices


@pytest.mark.parametrize(
    ("price", "usage", "cost"),
    [
        ("m=3/15", Usage(input_no_cache=1_000_000, output=100_000), 4.5),
        ("m=3/15", Usage(input_no_cache=10, input_cache_read=20, input_cache_write=30, output=0), 0.00018),
        ("m=3/15/0.3/3.75", Usage(input_no_cache=10, input_cache_read=20, input_cache_write=30, output=2), 0.0001785),
        ("m=0/0", Usage(input_no_cache=10, output=2), 0),
        ("m=3/15", Usage(output=2), None),
        ("m=3/15", Usage(input_no_cache=10), None),
    ],
)
def test_cost_counts_tokens_of_the_cache_as_priced(price: str, usage: Usage, cost: float | None) -> None:
    assert read_prices([price])["m"].cost(usage) == cost


def test_name_of_a_model_may_have_slashes() -> None:
    assert read_prices(["anthropic/claude=1/2"]).keys() == {"anthropic/claude"}
