"""Makes the server's answers: model, instructions and limits for one request."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar
from weakref import WeakSet

from usechat.agent import Agent
from usechat.answers.metadata import DefaultMetadata
from usechat.answers.stop import step_count_is
from usechat.answers.stream_text import StreamTextResult
from usechat.conversations.chat_turn import ChatTurn
from usechat.http.response import StreamingAnswer
from usechat.messages import ui
from usechat.models.base import Model
from usechat.models.resolve import resolve_model
from usechat.parts import Finish, Part, Start
from usechat.server.access.asking import asking, current_user, note
from usechat.server.access.client_fields import ClientFields
from usechat.server.access.limits.bills import Costs
from usechat.server.answering.choice import ModelChoice
from usechat.server.prices import Price, read_prices
from usechat.server.routes.fetch_body import FetchChatBody
from usechat.server.settings import Settings
from usechat.tools.approvals import process_secret
from usechat.tools.tool import Tool
from usechat.tools.used_approvals import UsedApprovals

__all__ = ["DEFAULT_SYSTEM_PROMPT", "Answers"]

DEFAULT_SYSTEM_PROMPT: Final = "You are a helpful assistant."
AnswerT = TypeVar("AnswerT")
ANTHROPIC_USERS: Final = {"anthropic", "local"}


class Answers:
    """Make the answers of one server.

    Args:
        settings: The server's settings.
        choice: The model or agent that answers when a client chooses none.
        used_approvals: Remembers used approvals for all processes of the server; None to remember them in this one.
        costs: Counts the answers and what they cost; None for limits of its own.
    """

    def __init__(
        self,
        settings: Settings,
        choice: ModelChoice,
        used_approvals: UsedApprovals | None = None,
        costs: Costs | None = None,
    ) -> None:
        self.settings = settings
        self.choice = choice
        self.models: list[str] = [choice.name, *(name for name in settings.models if name != choice.name)]
        """The models of this server, the default one first."""
        self._resolved: dict[str, Model] = {}
        self._agents: dict[str, Agent] = {}
        self.prices = read_prices(settings.prices)
        """What the models cost, by their names."""
        self._running: WeakSet[StreamTextResult] = WeakSet()
        secret = settings.approval_secret
        self._approval_secret = process_secret() if secret is None else secret.get_secret_value()
        self._client_fields = ClientFields(settings.client_options)
        self.costs = costs or Costs(settings)
        self._used_approvals: UsedApprovals | bool = used_approvals or True

    async def answer_in_place(self, turn: ChatTurn) -> StreamTextResult:
        """Return the answer to a request of ``useChat`` or ``useCompletion``, once all processes have counted it.

        Raises:
            LimitError: Too many are running for its user or address.
        """
        return await self.in_place(lambda: self.answer(turn), turn.run_id)

    async def in_place(self, make: Callable[[], AnswerT], run_id: str | None = None) -> AnswerT:
        """Return the answer that a function makes, once all processes have counted it.

        Args:
            make: Makes the answer.
            run_id: The run that makes it, if it has a log.

        Raises:
            LimitError: Too many are running for its user or address.
        """
        now = asking.get()
        await self.costs.take_place(now, run_id)
        try:
            return make()
        finally:
            # The answer has taken it over, if there is one.
            self.costs.drop_place(now)

    def answer(self, turn: ChatTurn) -> StreamTextResult:
        """Return the answer to a request of ``useChat`` or ``useCompletion``."""
        name = self.chosen(turn.request.extra)
        is_chat = isinstance(turn.request, ui.ChatRequest)
        note(chat=turn.chat_id, run=turn.run_id)
        # What the store has of answers is what the server has made.
        trusts_answers = turn.run_id is not None and self.settings.history == "server"
        return self.stream(
            name,
            messages=self._client_fields.clean(turn.messages, trusts_answers=trusts_answers),
            tools=demo_tools() if name == "demo" and is_chat else (),
            chat_id=turn.chat_id,
        )

    def to_fetch(self, chat: FetchChatBody) -> StreamingAnswer:
        """Return the answer to a hand-written client of the plain events stream.

        Its instructions follow the operator's, or replace the default ones.
        """
        own = self.choice.agent
        operators = self.settings.system_prompt if own is None else own.options.get("system")
        given = (operators, chat.instructions)
        system = "\n\n".join(text for text in given if text) or None
        messages = self._client_fields.clean(chat.messages)
        result = self.stream(self.chosen(chat.extra), messages=messages, system=system)
        return result.response(wire_format="events", **self.options)

    @property
    def client_tools(self) -> Sequence[Tool]:
        """The tools that clients run. Outputs of others are not taken from a client."""
        own = self.choice.agent
        return [] if own is None else [tool for tool in own.tools.values() if own.is_client_tool(tool.name)]

    def describe_price(self, name: str) -> dict[str, Any]:
        """Return what a page says of a model's price; nothing where the operator has not said it."""
        price = self.prices.get(name)
        return {} if price is None else {"price": {"input": price.input, "output": price.output}}

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
        chat_id: str | None = None,
    ) -> StreamTextResult:
        """Return an answer by the model with this name; with an agent of the application's, by that one.

        What the agent leaves open, the settings say.
        """
        settings, own = self.settings, self.choice.agent
        left: dict[str, Any] = {
            "approval_secret": self._secret_of(chat_id),
            "used_approvals": self._used_approvals,
            "max_output_tokens": settings.max_output_tokens,
            "timeout": settings.timeout,
            "message_metadata": ServedMetadata(name, names_model=bool(settings.models), price=self.prices.get(name)),
        }
        if own is None:
            agent = self._agent(name)
            left |= {"system": system or settings.system_prompt or DEFAULT_SYSTEM_PROMPT, "tools": tools}
        else:
            agent = own
            left = {option: value for option, value in left.items() if option not in own.options}
            if (system := system or (None if "system" in own.options else settings.system_prompt)) is not None:
                left["system"] = system
            if name != self.choice.name:
                left["model"] = self.model(name)
        bill = self.costs.bill()
        result = agent.stream(
            messages, on_error=self._show_error, on_step_finish=bill.note_step, on_finish=bill.note_end, **left
        )
        # The bill needs no messages.
        result.keeps_messages = own is not None and "on_finish" in own.options
        bill.open(result)
        self._running.add(result)
        return result

    def _show_error(self, error: BaseException) -> str | None:
        self.costs.meter.note_error(error)
        return str(error) if self.settings.error_detail else None

    def _secret_of(self, chat_id: str | None) -> str:
        """Return the secret of a user's chat: what was asked in one chat cannot be approved in another."""
        place = f"{current_user()}\n{chat_id or ''}".encode(errors="surrogatepass")
        return hmac.digest(self._approval_secret.encode(), place, "sha256").hex()

    @property
    def options(self) -> dict[str, Any]:
        """The options of a response, from the settings."""
        settings = self.settings
        return {"sdk": settings.sdk, "heartbeat": settings.heartbeat or None, "tool_errors": settings.tool_errors}

    @property
    def uses_anthropic(self) -> bool:
        """Whether a model of this server needs the package `anthropic`, as the embedded one does."""
        own = self.choice.agent
        named = [name for name in self.models if own is None or name != self.choice.name]
        return any(name != "demo" for name in named) or (own is not None and own.model.provider in ANTHROPIC_USERS)

    def abort_all(self, reason: str) -> None:
        """Stop every running answer. Each still gets a legal end."""
        for result in list(self._running):
            result.abort(reason)

    def model(self, name: str) -> Model:
        """Return the model with this name. It is made at its first use."""
        if name not in self._resolved:
            self._resolved[name] = resolve_model(name)
        return self._resolved[name]

    def _agent(self, name: str) -> Agent:
        # An agent checks its options when it is made, which a request need not wait for.
        if name not in self._agents:
            self._agents[name] = Agent(self.model(name), stop_when=step_count_is(self.settings.max_steps))
        return self._agents[name]


class ServedMetadata(DefaultMetadata):
    """The metadata of the server's answers: the usage of all steps, the model, and what it cost in US dollars.

    Args:
        model: The model's name.
        names_model: Whether the model is told. Of a server's only model, the page knows the name from ``/api/info``.
        price: What the model costs; None where the operator has not said it.
    """

    __slots__ = ("names_model", "price")
    parts = (Start, Finish)

    def __init__(self, model: str, *, names_model: bool, price: Price | None = None) -> None:
        super().__init__(model)
        self.names_model = names_model
        self.price = price

    def __call__(self, part: Part) -> dict[str, Any] | None:
        """Return the metadata that a part adds; None for nothing."""
        match part:
            case Start():
                return {"model": self.model} if self.names_model else None
            case Finish():
                usage = self.usage(part)
                cost = None if self.price is None else self.price.cost(usage)
                return {"usage": usage} if cost is None else {"usage": usage, "cost": cost}
            case _:
                return None


def demo_tools() -> Sequence[Tool]:
    # Imported only for the demo, whose tools no other model has.
    from usechat.demo import tools

    return tools.demo_tools()
