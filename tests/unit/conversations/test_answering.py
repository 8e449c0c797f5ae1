"""The names of what answers, by which another process finds it after a loss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from usechat import Agent
from usechat.conversations.answering import name_answering
from usechat.testing.models import ScriptedModel


async def answer_sales(turn: Any) -> Any: ...


async def answer_support(turn: Any) -> Any: ...


class Desk:
    """Answers by a method, as an application's own class may."""

    async def answer(self, turn: Any) -> Any: ...


def names(answers: Iterable[Any]) -> list[str]:
    taken: list[str] = []
    for answer in answers:
        taken.append(name_answering(answer, taken))
    return taken


def test_answers_keep_their_names_when_routers_are_reordered():
    poet = Agent(ScriptedModel([]), name="poet")
    answers = [answer_sales, poet, answer_support, Desk().answer]

    before, after = names(answers), names(reversed(answers))

    assert before == list(reversed(after))
    assert before[1] == "poet"
    assert len(set(before)) == 4


def test_answers_of_the_same_name_are_told_apart():
    model = ScriptedModel([])

    assert len(set(names([Agent(model), Agent(model), answer_sales, answer_sales]))) == 4
