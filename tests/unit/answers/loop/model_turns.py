"""Turns of a scripted model, and the tools that it calls."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from usechat import step_count_is, tool
from usechat.answers.loop.driver import read_turn
from usechat.answers.loop.model_turn import ModelTurn
from usechat.answers.loop.policy import LoopPolicy, policy_for
from usechat.answers.loop.request import LoopRequest
from usechat.messages.model import ModelMessage, TextContent, UserMessage
from usechat.models.base import ModelCall
from usechat.parts import FinishReason, ModelFinish, Part, Usage
from usechat.protocol.dialects import AUTO, NEWEST, Dialect
from usechat.testing.models import ScriptedModel, Step
from usechat.tools.tool import read_tools

V4 = policy_for(Dialect(NEWEST[4], exact=True))

V5 = policy_for(Dialect(NEWEST[5], exact=True))

V7 = policy_for(Dialect(NEWEST[7], exact=True))

GUESSED = policy_for(AUTO)

ASKED = UserMessage((TextContent("Hi"),))


async def get_weather(city: str) -> str:
    return f"sunny in {city}"


def echo(value: Any) -> Any:
    return value


WEATHER = tool(get_weather)

ANY = tool(name="any", input_schema={"type": "object"}, execute=echo)


class Answered:
    """A loop that has run to its end."""

    def __init__(
        self,
        *steps: Step,
        tools: Sequence[Any] | Mapping[str, Any] = (),
        policy: LoopPolicy = V7,
        messages: Sequence[ModelMessage] = (ASKED,),
        stop: int = 5,
        call: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.model = ScriptedModel(*steps)
        self.parts: list[Part] = []
        self.batches: list[list[Part]] = []
        self.told: list[BaseException] = []
        self.abort = asyncio.Event()
        request = LoopRequest(
            model=self.model,
            call=ModelCall(messages=messages, **(call or {})),
            tools=read_tools(tools),
            stop_when=options.pop("stop_when", [step_count_is(stop)]),
            on_error=self._tell,
            **options,
        )
        self.turn = ModelTurn(request, policy, self.abort)

    def _tell(self, error: BaseException) -> str | None:
        self.told.append(error)
        return None

    async def run(self) -> Answered:
        async for batch in read_turn(self.turn):
            self.batches.append(batch)
            self.parts += batch
        assert self.model.open_count == 0
        return self

    def kinds(self) -> list[str]:
        return [type(part).__name__ for part in self.parts]

    def of(self, kind: Any) -> list[Any]:
        return [part for part in self.parts if isinstance(part, kind)]

    @property
    def last_messages(self) -> Sequence[ModelMessage]:
        """What the model was asked last."""
        return self.model.calls[-1].messages


async def answer(*steps: Step, **options: Any) -> Answered:
    return await Answered(*steps, **options).run()


def ended(unified: Any = "stop", raw: str | None = "end_turn") -> ModelFinish:
    return ModelFinish(finish_reason=FinishReason(unified, raw), usage=Usage())
