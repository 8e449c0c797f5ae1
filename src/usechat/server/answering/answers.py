"""Makes the server's answers: model, instructions and limits for one request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakSet

from usechat import StreamingAnswer, step_count_is, stream_text
from usechat.answers.stream_text import StreamTextResult
from usechat.conversations.chat_turn import ChatTurn
from usechat.messages import ui
from usechat.models.base import Model
from usechat.models.resolve import resolve_model
from usechat.parts import Part, Start
from usechat.server.answering.choice import ModelChoice
from usechat.server.routes.fetch_body import FetchChatBody
from usechat.server.settings import Settings
from usechat.tools.tool import Tool
from usechat.tools.used_approvals import UsedApprovals

__all__ = ["DEFAULT_SYSTEM_PROMPT", "Answers"]

DEFAULT_SYSTEM_PROMPT: Final = "You are a helpful assistant."


class Answers:
    """Make the answers of one server.

    Args:
        settings: The server's settings.
        choice: The model that answers when a client chooses none.
        used_approvals: Remembers used approvals for all processes of the server; None to remember them in this one.
    """

    def __init__(self, settings: Settings, choice: ModelChoice, used_approvals: UsedApprovals | None = None) -> None:
        self.settings = settings
        self.choice = choice
        self.models: list[str] = [choice.name, *(name for name in settings.models if name != choice.name)]
        """The models of this server, the default one first."""
        self._resolved: dict[str, Model] = {}
        self._running: WeakSet[StreamTextResult] = WeakSet()
        secret = settings.approval_secret
        self._approval_secret: str | bool = True if secret is None else secret.get_secret_value()
        self._used_approvals: UsedApprovals | bool = used_approvals or True

    def answer(self, turn: ChatTurn) -> StreamTextResult:
        """Return the answer to a request of ``useChat`` or ``useCompletion``."""
        name = self.chosen(turn.request.extra)
        is_chat = isinstance(turn.request, ui.ChatRequest)
        return self.stream(name, messages=turn.messages, tools=demo_tools() if name == "demo" and is_chat else ())

    def to_fetch(self, chat: FetchChatBody) -> StreamingAnswer:
        """Return the answer to a hand-written client of the plain events stream.

        Its instructions follow the operator's, or replace the default ones.
        """
        given = (self.settings.system_prompt, chat.instructions)
        system = "\n\n".join(text for text in given if text) or None
        result = self.stream(self.chosen(chat.extra), messages=chat.messages, system=system)
        return result.response(wire_format="events", **self.options)

    def chosen(self, body: Mapping[str, Any]) -> str:
        """Return the name of the model that a client asks for, if the settings allow the choice."""
        wanted = body.get("model")
        return wanted if isinstance(wanted, str) and wanted in self.settings.models else self.choice.name

    def stream(
        self,
        name: str,
        *,
        messages: Sequence[ui.UIMessage],
        system: str | None = None,
        tools: Sequence[Tool] = (),
    ) -> StreamTextResult:
        """Return an answer by the model with this name."""
        result = stream_text(
            self.model(name),
            messages=messages,
            system=system or self.settings.system_prompt or DEFAULT_SYSTEM_PROMPT,
            tools=tools,
            stop_when=step_count_is(self.settings.max_steps),
            approval_secret=self._approval_secret,
            used_approvals=self._used_approvals,
            max_output_tokens=self.settings.max_output_tokens,
            timeout=self.settings.timeout,
            on_error=str if self.settings.error_detail else None,
            # With one model only, the page knows it from /api/info.
            message_metadata=named(name) if self.settings.models else None,
        )
        self._running.add(result)
        return result

    @property
    def options(self) -> dict[str, Any]:
        """The options of a response, from the settings."""
        settings = self.settings
        return {"sdk": settings.sdk, "heartbeat": settings.heartbeat or None, "tool_errors": settings.tool_errors}

    def abort_all(self, reason: str) -> None:
        """Stop every running answer. Each still gets a legal end."""
        for result in list(self._running):
            result.abort(reason)

    def model(self, name: str) -> Model:
        """Return the model with this name. It is made at its first use."""
        if name not in self._resolved:
            self._resolved[name] = resolve_model(name)
        return self._resolved[name]


def named(model: str) -> Callable[[Part], Any]:
    """Return a function that tells the client the model, in the message's metadata."""
    return lambda part: {"model": model} if isinstance(part, Start) else None


def demo_tools() -> Sequence[Tool]:
    # Imported only for the demo, whose tools no other model has.
    from usechat.demo import tools

    return tools.demo_tools()
