"""One request to an application's chats: who asks, what the model gets, and the response that saves the answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, Unpack

from msgspec.structs import replace

from usechat.answers.answer import Answer
from usechat.answers.arguments.response_options import ResponseOptions, check_response_options
from usechat.checks import check_function, named
from usechat.conversations.conversations import Conversations
from usechat.conversations.planning import PlannedTurn, RepeatedTurn
from usechat.conversations.turn_ends import OnFinish, run_of
from usechat.errors import ConfigurationError, RequestError
from usechat.http.response import StreamingAnswer
from usechat.messages import ui

__all__ = ["ChatTurn", "Title", "check_callbacks"]

OF_THE_TURN: Final = ("chat_id",)
"""Options of a response that the turn itself decides."""


class ChatTurn:
    """One request of a user to a chat.

    A route gets it as a dependency, from `Chats.turn`:

        @app.post("/api/chat")
        async def chat(turn: Annotated[ChatTurn, Depends(chats.turn(user=current_user))]):
            return turn.respond(agent.stream(turn.messages))

    Nothing is saved before the response of `respond` is sent.
    """

    def __init__(
        self,
        user: str,
        request: ui.ChatRequest | ui.CompletionRequest,
        planned: PlannedTurn | RepeatedTurn | None,
        conversations: Conversations | None,
        options: Mapping[str, Any],
    ) -> None:
        self.user = user
        """The id of the user who asks: the chat's owner."""
        self.request = request
        """The request as it was posted. Its ``extra`` has the body's further fields."""
        self._planned = planned
        self._conversations = conversations
        self._options = options
        self._made: StreamingAnswer | None = None
        if planned is not None and isinstance(request, ui.ChatRequest):
            request.note_planned()

    @property
    def chat_id(self) -> str | None:
        """The chat's id; None for a request that names no chat, whose answer is not saved."""
        return self.request.id if isinstance(self.request, ui.ChatRequest) else None

    @property
    def run_id(self) -> str | None:
        """The id of the run that makes the answer; None where the answer is not saved, or there is one already."""
        return run_of(self._planned.turn_id) if isinstance(self._planned, PlannedTurn) else None

    @property
    def messages(self) -> Sequence[ui.UIMessage]:
        """The messages for the model, those that the client did not send again included."""
        if isinstance(self._planned, PlannedTurn):
            return self._planned.messages
        if isinstance(self.request, ui.CompletionRequest):
            return [ui.UIMessage(role="user", parts=[{"type": "text", "text": self.request.prompt}])]
        return self.request.posted

    @property
    def is_new(self) -> bool:
        """Whether the request begins a chat."""
        return isinstance(self._planned, PlannedTurn) and self._planned.plan.revision == 0

    def is_own(self, response: StreamingAnswer) -> bool:
        """Return whether a response is what `respond` or `repeat` has returned, if the answer is to be saved."""
        return self._planned is None or response is self._made

    @property
    def is_repeated(self) -> bool:
        """Whether the request has its answer already. `respond` then sends that one, and makes no other."""
        return isinstance(self._planned, RepeatedTurn)

    def respond(
        self,
        answer: Answer,
        *,
        title: Title | None = None,
        on_finish: OnFinish | None = None,
        **options: Unpack[ResponseOptions],
    ) -> StreamingAnswer:
        """Return the response that makes an answer and saves it in the chat.

        The user's message is saved before the answer begins. If the request came before, its answer is sent again, or
        read while it is made: then ``answer`` never begins, and asks no model.

        Args:
            answer: The answer, such as ``agent.stream(turn.messages)``. Do not read it.
            title: Makes the title of a new chat, beside the answer; gets this turn, and returns a text or None. A title
                that the user gives meanwhile stays. A function that is not async runs in a thread.
            on_finish: Called when this process has saved the end of the answer, within its last second for the client.
                `Chats` has an ``on_finish`` that also hears of answers whose process died.
            **options: As for `Answer.response`; they go before those of `Chats`.

        Raises:
            ConfigurationError: An argument is wrong.
        """
        check_callbacks("respond", title, on_finish)
        if not isinstance(answer, Answer):  # pyright: ignore[reportUnnecessaryIsInstance] - not all programs are checked
            raise ConfigurationError(
                f"respond takes an answer such as agent.stream(turn.messages), not {named(answer)}"
            )
        return self._respond(answer, title, on_finish, options)

    def repeat(self) -> StreamingAnswer:
        """Return the response with the answer that a repeated request has already.

        Raises:
            ConfigurationError: The request is not repeated.
        """
        if not self.is_repeated:
            raise ConfigurationError("this request has no answer yet: use respond, or ask is_repeated before")
        return self._respond(None, None, None, {})

    def _respond(
        self, answer: Answer | None, title: Title | None, on_finish: OnFinish | None, given: ResponseOptions
    ) -> StreamingAnswer:
        for name in OF_THE_TURN:
            if name in given:
                raise ConfigurationError(f"respond takes no {name}: it is the turn's own")
        check_response_options(given)
        options: dict[str, Any] = {**self._options, **given}
        planned, conversations = self._planned, self._conversations
        if planned is None or conversations is None:
            assert answer is not None
            return answer.response(self.request, **options)
        if isinstance(planned, RepeatedTurn):
            # The message has its id.
            options.pop("message_id", None)
            self._made = conversations.repeat(planned, **options)
            return self._made
        assert answer is not None
        make = None if title is None else partial(call_title, title, self)
        self._made = conversations.respond(replace(planned, title=make, on_finish=on_finish), answer, **options)
        return self._made


Title: TypeAlias = Callable[[ChatTurn], "str | Awaitable[str | None] | None"]
"""Makes the title of a new chat from its first turn; None to leave the beginning of the user's text."""


async def call_title(title: Title, turn: ChatTurn) -> Any:
    # A plain function may wait for a model, and must not hold up all answers meanwhile.
    is_async = inspect.iscoroutinefunction(title) or inspect.iscoroutinefunction(getattr(title, "__call__", None))  # noqa: B004
    made: Any = title(turn) if is_async else await asyncio.to_thread(title, turn)
    return await made if inspect.isawaitable(made) else made


def check_callbacks(what: str, title: Any, on_finish: Any) -> None:
    """Refuse a ``title`` or ``on_finish`` that cannot be called.

    Raises:
        ConfigurationError: One is wrong.
    """
    if isinstance(title, str):
        raise ConfigurationError(f"{what} takes a function that makes the title, not the title: use title=make_title")
    check_function("title", title)
    check_function("on_finish", on_finish)


def check_messages(request: ui.ChatRequest) -> None:
    """Refuse a request without messages whose chat is not saved, so that nobody knows the messages.

    Raises:
        RequestError: It has none.
    """
    if not request.messages:
        raise RequestError("is missing", path="messages", status=400)
