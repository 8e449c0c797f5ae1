"""The server with the demo, quick, whose tool with an effect notes each of its runs in a file."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import uuid4

from usechat import ToolContext
from usechat.demo import model, tools
from usechat.demo.events import answer_events
from usechat.messages.model import UserMessage
from usechat.models.base import ModelCall
from usechat.models.embedded.history import message_text
from usechat.parts import ModelPart
from usechat.server.app import create_app

RUNS = Path(os.environ["TESTS_TOOL_RUNS"])
PACE = float(os.environ.get("TESTS_PACE", "0.004"))
SLOW = {text for text in os.environ.get("TESTS_SLOW", "").split(",") if text}
SLOW_PACE = 2.0


def send_email(to: str, subject: str, body: str, context: ToolContext) -> dict[str, str]:
    """Send an e-mail."""
    # All processes write to its end.
    with RUNS.open("a") as noted:
        noted.write(f"{context.tool_call_id}\n")
    return {"status": "sent", "to": to, "subject": subject, "note": body}


def answer_with_calls_of_its_own(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The script's events. The script gives the same call to whoever asks the same."""
    for event in answer_events(request):
        block: dict[str, Any] = event.get("content_block") or {}
        own = {"content_block": {**block, "id": f"toolu_{uuid4().hex}"}} if block.get("type") == "tool_use" else {}
        yield {**event, **own}


model.answer_events = answer_with_calls_of_its_own
tools.send_email = send_email


class Paced(model.DemoModel):
    """The demo, which takes minutes for some questions: somebody stops it."""

    async def stream(self, call: ModelCall) -> AsyncGenerator[list[ModelPart]]:
        asked = call.messages[-1]
        is_slow = isinstance(asked, UserMessage) and message_text(asked) in SLOW
        async with aclosing(model.DemoModel(pace=SLOW_PACE if is_slow else PACE).stream(call)) as batches:
            async for batch in batches:
                yield batch


model.demo = Paced
app = create_app()
