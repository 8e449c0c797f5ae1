"""The answerer of a turn: an agent, or a function of an application."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from typing import Any, Protocol, TypeAlias, cast

from usechat.answers.answer import Answer
from usechat.answers.callbacks import NOT_SAVED
from usechat.checks import check_function, named
from usechat.conversations.chat_turn import ChatTurn, Title, check_callbacks
from usechat.errors import ConfigurationError
from usechat.guard import Contained
from usechat.http.response import StreamingAnswer
from usechat.messages import ui
from usechat.tools.tool import Tool

__all__ = ["ChatAgent", "name_answering", "read_answering", "read_client_tools"]


class ChatAgent(Protocol):
    """An agent, as far as chats know it.

    One with ``is_client_tool(name)`` also tells which of its tools the client runs. Implemented by: `usechat.Agent`.
    """

    def stream(self, messages: Sequence[ui.UIMessage], /) -> Answer:
        """Return the answer to some messages, not begun. With ``context=`` if the router was given one."""
        ...


AnswerTurn: TypeAlias = Callable[[ChatTurn], "Answer | StreamingAnswer | Awaitable[Answer | StreamingAnswer]"]
"""Makes the answer to a turn, not begun, or the response with it."""
Answering: TypeAlias = "ChatAgent | AnswerTurn"
Respond: TypeAlias = Callable[[ChatTurn], Awaitable[StreamingAnswer]]


def read_answering(answer: Any, title: Title | None, context: Callable[[ChatTurn], Any] | None) -> Respond:
    """Return the function that responds to a turn.

    Raises:
        ConfigurationError: ``answer`` is neither an agent nor a function, or another argument is wrong.
    """
    check_callbacks("router", title, None)
    check_function("context", context)
    check_answering(answer)
    stream = getattr(answer, "stream", None)
    if not callable(stream) and context is not None:
        raise ConfigurationError("context is for an agent: a function of the turn makes its own")

    async def make(turn: ChatTurn) -> Any:
        if not callable(stream):
            return await awaited(answer(turn))
        given = {} if context is None else {"context": await awaited(context(turn))}
        return await awaited(stream(turn.messages, **given))

    async def respond(turn: ChatTurn) -> StreamingAnswer:
        if turn.is_repeated:
            return turn.repeat()
        with Contained():
            made = await make(turn)
        if not isinstance(made, StreamingAnswer):
            return turn.respond(made, title=title)
        if not turn.is_own(made):
            raise ConfigurationError(NOT_SAVED)
        return made

    return respond


def check_answering(answer: Any) -> None:
    write = "write router(lambda turn: stream_text(model, messages=turn.messages), user=…)"
    if hasattr(answer, "model_id"):
        raise ConfigurationError(f"router takes an agent or a function of the turn, not a model: {write}")
    if isinstance(answer, Answer):
        raise ConfigurationError(f"router takes an agent or a function of the turn, not one answer: {write}")
    if isinstance(answer, type) and hasattr(cast("Any", answer), "stream"):
        raise ConfigurationError(f"router takes an agent, not its class: write {answer.__name__}(…)")
    if not callable(answer) and not callable(getattr(answer, "stream", None)):
        raise ConfigurationError(f"router takes an agent or a function of the turn, not {named(answer)}")


def name_answering(answer: Any, taken: Container[str]) -> str:
    """Return the name of what answers, for a process that goes on with a lost answer of another one.

    It is the same in all processes of an application, and stays when a later version adds routers or reorders them.

    Args:
        answer: An agent or a function.
        taken: Names that the application has given already. What has the same name gets a number.
    """
    known_as: Any = answer if hasattr(answer, "__qualname__") else answer.__class__
    name = getattr(answer, "name", None) or f"{known_as.__module__}.{known_as.__qualname__}"
    number = 1
    numbered = name
    while numbered in taken:
        number += 1
        numbered = f"{name} {number}"
    return numbered


async def awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def read_client_tools(given: Iterable[str | Tool] | None, answer: Any) -> Callable[[str], bool] | None:
    """Return the function that tells whether the client runs a tool; None when that is not known.

    Raises:
        ConfigurationError: ``given`` holds something that is neither a name nor a tool.
    """
    if given is None:
        return getattr(answer, "is_client_tool", None)
    if isinstance(given, str):
        raise ConfigurationError(f"client_tools must be a list of names or tools: write [{given!r}]")
    return frozenset(map(tool_name, given)).__contains__


def tool_name(tool: Any) -> str:
    if isinstance(tool, Tool):
        return tool.name
    if isinstance(tool, str):
        return tool
    raise ConfigurationError(f"client_tools must be a list of names or tools, and holds {named(tool)}")
