"""`demo()`: the model that plays the tour.

A script, not a language model: it answers the same to the same conversation. It writes the request that Anthropic's
Messages API would get, and `AnthropicStream` reads the script's events, so that everything between the conversation
and the parts is done as for a real model. The tools that it calls are `usechat.demo.tools`; without them it shows what
needs none.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Iterable
from functools import partial
from typing import Any

import msgspec

from usechat.apart import work_apart
from usechat.demo.events import answer_events
from usechat.models.base import Model, ModelCall
from usechat.models.claude.request.request import AnthropicRequest, build_request
from usechat.models.claude.response.events import AnthropicStream
from usechat.parts import ModelPart

__all__ = ["MODEL_ID", "DemoModel", "demo"]

MODEL_ID = "usechat-demo"

_ANSWER_TOKENS = 4096
_PACE = 0.04
"""Seconds between two deltas of a usual model."""

logger = logging.getLogger(__name__)


class DemoModel:
    """The tour as a `usechat.models.base.Model`; make it with `demo`."""

    provider = "demo"
    model_id = MODEL_ID

    def __init__(self, *, pace: float = _PACE) -> None:
        self._pace = pace
        self._logged: set[str] = set()

    def __repr__(self) -> str:
        return "demo()"

    async def stream(self, call: ModelCall) -> AsyncGenerator[list[ModelPart]]:
        """Run one call; see `Model.stream`.

        Raises:
            RequestError: The messages hold nothing to answer, or a file that Anthropic could not read.
        """
        # The Messages API wants a number, and no catalog has one for a model of this name.
        call = msgspec.structs.replace(call, max_output_tokens=call.max_output_tokens or _ANSWER_TOKENS)
        request = await work_apart(partial(build_request, call, MODEL_ID))
        self._log(request.warnings)
        stream = AnthropicStream(
            citation_documents=request.citation_documents,
            uses_json_tool=request.uses_json_tool,
            tool_names=request.tool_names,
        )
        parts: list[ModelPart] = []
        for event in answer_events(_as_sent(request)):
            if event["type"] == "content_block_delta":
                if parts:
                    yield parts
                    parts = []
                # Also without a pace: it lets others run, and an answer that is stopped ends here.
                await asyncio.sleep(self._pace)
            parts += stream.feed_event(event)
        yield [*parts, *stream.finish()]

    def _log(self, warnings: Iterable[str]) -> None:
        for warning in warnings:
            if warning not in self._logged:
                self._logged.add(warning)
                logger.warning("%s: %s", MODEL_ID, warning)


def demo(*, pace: float | None = None) -> Model:
    """Return the model that plays the tour; say ``tour`` to it.

    Args:
        pace: Seconds between two deltas; None for that of a usual model, 0 for no wait.
    """
    return DemoModel(pace=_PACE if pace is None else pace)


def _as_sent(request: AnthropicRequest) -> dict[str, Any]:
    # The script reads plain JSON; the body may hold other mappings and sequences.
    return request.body if request.content is None else json.loads(request.content)
