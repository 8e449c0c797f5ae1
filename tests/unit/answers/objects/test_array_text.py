"""The elements of an array, however its text is cut into pieces."""

from __future__ import annotations

import json
import time
from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usechat.answers.objects.array_text import ArrayElements

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=4), children, max_size=3),
    max_leaves=8,
)


def read(*pieces: str, key: str | None = "elements") -> list[list[str]]:
    reader = ArrayElements(key)
    return [reader.feed(piece) for piece in pieces]


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ('{"elements":[]}', []),
        ('{"elements":[1,2]}', ["1", "2"]),
        ('{"elements" : [ {"a": "],[}{"} , [1, [2]] ] }', ['{"a": "],[}{"}', "[1, [2]]"]),
        (r'{"elements":["a\"b,","c\\"]}', [r'"a\"b,"', r'"c\\"']),
        ('{"note":["no"],"elements":["yes"]}', ['"yes"']),
        ('{"note":{"elements":["no"]},"elements":["yes"]}', ['"yes"']),
        (r'{"a\"elements":["no"],"elements":["yes"]}', ['"yes"']),
        ('{"elements":["first"],"elements":["second"]}', ['"first"']),
        ("no JSON at all", []),
        ('{"elements":[{"a":1},{"b"', ['{"a":1}']),
    ],
)
def test_elements_are_found_whole_and_by_the_character(text: str, elements: list[str]):
    assert read(text) == [elements]
    assert list(chain.from_iterable(read(*text))) == elements


def test_an_element_comes_with_the_piece_that_ends_it():
    assert read('{"elements":[{"a"', ":1}", ',{"b":2}', "]", "}") == [[], [], ['{"a":1}'], ['{"b":2}'], []]


def test_an_array_alone_is_read_without_a_key():
    reader = ArrayElements(key=None)
    assert reader.feed('[{"elements":[1]},2') == ['{"elements":[1]}']
    assert not reader.is_complete
    assert reader.feed("] [3]") == ["2"]
    assert reader.is_complete
    assert reader.feed(",4]") == []


@given(st.lists(JSON_VALUES, max_size=5), st.lists(st.integers(min_value=0, max_value=400), max_size=6), st.booleans())
def test_any_array_is_read_however_it_is_cut(values: list[object], cuts: list[int], is_spaced: bool):
    text = json.dumps({"elements": values}, indent=1 if is_spaced else None, ensure_ascii=is_spaced)
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    reader = ArrayElements()
    found = [element for start, end in pairwise(places) for element in reader.feed(text[start:end])]
    assert [json.loads(element) for element in found] == values
    assert reader.is_complete


@pytest.mark.no_cover
def test_a_long_element_costs_no_more_per_piece_than_a_short_one():
    def seconds(pieces: int) -> float:
        reader = ArrayElements()
        reader.feed('{"elements":["')
        start = time.process_time()
        for _ in range(pieces):
            reader.feed("word")
        return time.process_time() - start

    seconds(1000)
    # Once in three times is enough: what else the machine does adds to the time of each.
    assert any(seconds(200_000) < 60 * max(seconds(10_000), 0.002) for _ in range(3))
