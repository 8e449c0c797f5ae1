"""The tree of a chat's messages: paths, siblings, the latest branch, hidden messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from usechat.chats.places import show_place
from usechat.chats.tree import MessageTree, SavedMessage

# 0 ─ 1 ─ 2 ─ 5
#     │   └── 6
#     └── 4
# 3 ─ 7
PARENTS: Sequence[int | None] = (None, 0, 1, None, 1, 2, 2, 3)


def make_tree(parents: Sequence[int | None] = PARENTS) -> MessageTree:
    def make(number: int, parent: int | None) -> SavedMessage:
        message: dict[str, Any] = {"id": f"m{number}", "parts": []}
        return SavedMessage(message=message, number=number, parent=parent, role="user", created_at=0)

    return MessageTree([make(number, parent) for number, parent in enumerate(parents)])


def numbers(messages: Sequence[SavedMessage]) -> list[int]:
    return [message.number for message in messages]


@pytest.mark.parametrize(("leaf", "path"), [(None, []), (0, [0]), (6, [0, 1, 2, 6]), (7, [3, 7])])
def test_path_goes_from_a_first_message_to_the_leaf(leaf: int | None, path: list[int]) -> None:
    assert numbers(make_tree().path_to(leaf)) == path


@pytest.mark.parametrize(("number", "siblings"), [(0, [0, 3]), (2, [2, 4]), (5, [5, 6]), (7, [7])])
def test_siblings_have_the_same_parent(number: int, siblings: list[int]) -> None:
    tree = make_tree()
    assert numbers(tree.siblings(tree[number])) == siblings


@pytest.mark.parametrize(("number", "latest"), [(None, 7), (0, 6), (1, 6), (2, 6), (4, 4), (3, 7)])
def test_latest_leaf_is_the_newest_descendant(number: int | None, latest: int) -> None:
    assert make_tree().latest_leaf(number) == latest


def test_empty_tree_has_no_leaf() -> None:
    assert make_tree(()).latest_leaf(None) is None


def test_hidden_message_takes_those_after_it_along() -> None:
    tree = make_tree().without(2)
    assert numbers(tree.visible) == [0, 1, 3, 4, 7]
    assert [tree.find(number) is None for number in range(8)] == [False, False, True, False, False, True, True, False]
    assert tree.latest_leaf(1) == 4
    assert numbers(tree.children(2)) == []


@pytest.mark.parametrize("number", [-1, 8])
def test_number_of_no_message_is_not_found(number: int) -> None:
    assert make_tree().find(number) is None


def test_place_of_a_message_among_its_siblings() -> None:
    tree = make_tree()
    place = {"id": "m6", "node": 6, "parent": 2, "siblings": [5, 6], "index": 1}
    assert show_place(tree, tree[6]) == {**place, "status": "whole", "finishReason": None}
