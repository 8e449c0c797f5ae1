"""`demo()`: a tour of everything an answer can be made of, with no key, no weights and no network.

A script, not a language model: it answers the same to the same conversation. It comes through the ``anthropic`` client
from `usechat.testing.demo_endpoint`, so that everything from the request to the parts is `AnthropicModel`'s. The tools
it calls are `usechat.server.demo_tools`; without them it shows what needs none.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio.to_thread
import msgspec

from usechat.models.anthropic_model import anthropic
from usechat.models.base import Model, ModelCall
from usechat.models.loopback import LoopbackServer, loopback_client
from usechat.parts import ModelPart

__all__ = ["MODEL_ID", "DemoModel", "demo"]

MODEL_ID = "usechat-demo"

_ANSWER_TOKENS = 4096


class DemoModel:
    """The tour. Cheap to make; the endpoint behind it is started with the first answer and shared."""

    provider = "demo"
    model_id = MODEL_ID

    def __init__(self, *, pace: float | None = None, server: LoopbackServer | None = None) -> None:
        self._pace = pace
        self._server = server

    def __repr__(self) -> str:
        return "demo()"

    async def stream(self, call: ModelCall) -> AsyncGenerator[list[ModelPart]]:
        """Run one call; see `Model.stream`.

        Raises:
            ProviderError: The endpoint refused the request.
        """
        # Imported when it is used: the endpoint's HTTP server takes a third of a second.
        from usechat.testing.demo_endpoint import PACE_HEADER, demo_endpoint

        # Said, because the Messages API wants a number and nobody knows one for a model of this name.
        call = msgspec.structs.replace(call, max_output_tokens=call.max_output_tokens or _ANSWER_TOKENS)
        headers = {} if self._pace is None else {PACE_HEADER: str(self._pace)}
        base_url, api_key = await anyio.to_thread.run_sync((self._server or demo_endpoint).start)
        async with (
            loopback_client(base_url, api_key, headers=headers) as client,
            aclosing(anthropic(MODEL_ID, client=client).stream(call)) as batches,
        ):
            async for batch in batches:
                yield batch


def demo(*, pace: float | None = None) -> Model:
    """The tour; say ``tour`` to it.

    Args:
        pace: Seconds between two deltas; None for that of a usual model, 0 for no wait.
    """
    return DemoModel(pace=pace)
