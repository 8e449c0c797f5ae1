"""`demo()`: the model that plays the tour.

A script and not a language model: the same conversation gets the same answer. It builds the request that Anthropic's
Messages API would get, and `AnthropicStream` reads the script's events. So the same code runs between the conversation
and the parts as for a real model. It calls the tools in `usechat.demo.tools`; without them it shows only the topics
that need no tool.
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
"""Seconds between two deltas, as for a typical model."""

logger = logging.getLogger(__name__)


class DemoModel:
    """The tour as a `usechat.models.base.Model`. `demo` makes one."""

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
            RequestError: The messages hold nothing to answer, or a file that Anthropic cannot read.
        """
        # The Messages API requires a limit, and no catalog has one for this model id.
        call = msgspec.structs.replace(call, max_output_tokens=call.max_output_tokens or _ANSWER_TOKENS)
        request = await work_apart(partial(build_request, call, MODEL_ID))
        self._log(request.warnings)
        stream = AnthropicStream(
            citation_documents=request.citation_documents,
            uses_json_tool=request.uses_json_tool,
            tool_names=request.tool_names,
        )
        parts: list[ModelPart] = []
        for event in answer_events(_wire_body(request)):
            if event["type"] == "content_block_delta":
                if parts:
                    yield parts
                    parts = []
                # Also with a pace of 0: other tasks can run here, and a stopped answer is cancelled here.
                await asyncio.sleep(self._pace)
            parts += stream.feed_event(event)
        yield [*parts, *stream.finish()]

    def _log(self, warnings: Iterable[str]) -> None:
        for warning in warnings:
            if warning not in self._logged:
                self._logged.add(warning)
                logger.warning("%s: %s", MODEL_ID, warning)


def demo(*, pace: float | None = None) -> Model:
    """Return the model that plays the tour; send it the message ``tour``.

    Args:
        pace: Seconds between two deltas; ``None`` for the pace of a typical model (0.04 s), 0 for no wait.
    """
    return DemoModel(pace=_PACE if pace is None else pace)


def _wire_body(request: AnthropicRequest) -> dict[str, Any]:
    # The script reads plain JSON; the body may hold other mappings and sequences.
    return request.body if request.content is None else json.loads(request.content)
