"""An approval belongs to its chat and its user."""

from __future__ import annotations

from typing import Any

from usechat.conversations.chat_turn import ChatTurn
from usechat.messages.ui import ChatRequest
from usechat.server.access.asking import Asking, asking
from usechat.server.answering.answers import Answers
from usechat.server.answering.choice import choose_model
from usechat.server.settings import Settings

CHAT = {"messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "hello"}]}]}


def secret_of(answers: Answers, user: str | None, chat_id: str | None) -> Any:
    token = asking.set(Asking(user=user))
    try:
        request = ChatRequest.model_validate({**CHAT, **({} if chat_id is None else {"id": chat_id})})
        return answers.answer(ChatTurn("default", request, None, None, {})).request.approval_secret
    finally:
        asking.reset(token)


def make_answers(secret: str | None = "one secret for all workers") -> Answers:
    settings = Settings.model_validate({"model": "demo", "approval_secret": secret})
    return Answers(settings, choose_model(settings))


def test_each_chat_of_each_user_has_its_own_secret() -> None:
    answers = make_answers()
    secrets = [
        secret_of(answers, user, chat)
        for user, chat in ((None, "a"), (None, "b"), ("ann", "a"), ("bob", "a"), (None, None))
    ]
    assert len(set(secrets)) == 5
    assert all(len(secret) == 64 for secret in secrets)


def test_all_processes_of_a_server_sign_alike() -> None:
    assert secret_of(make_answers(), "ann", "a") == secret_of(make_answers(), "ann", "a")
    assert secret_of(make_answers(), "ann", "a") != secret_of(make_answers("another secret, of others"), "ann", "a")
