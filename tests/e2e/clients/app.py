"""The server of the client pages: `usechat serve` with an agent, and one more route, for ``useObject``."""

from __future__ import annotations

import os
from typing import Annotated

from fastapi import APIRouter, Body

from tests.conformance.app import Recipe
from tests.e2e.clients.agent import MODEL, agent
from usechat import StreamingAnswer, stream_object
from usechat.models import anthropic
from usechat.server.app import create_app
from usechat.server.settings import Settings

settings = {
    "web_dir": os.environ["CLIENT_PAGES"],
    "database_url": f"sqlite:///{os.environ['CLIENT_PAGES']}-{os.getpid()}.db",
    "shutdown_seconds": 1,
    **({"grace_seconds": os.environ["GRACE_SECONDS"]} if "GRACE_SECONDS" in os.environ else {}),
}
app = create_app(Settings.model_validate(settings), agent=agent)
objects = APIRouter()


@objects.post("/api/object")
async def an_object(prompt: Annotated[str, Body()]) -> StreamingAnswer:
    result = stream_object(anthropic(MODEL), prompt=prompt, schema=Recipe, max_retries=0)
    return result.response(wire_format="text-stream")


# Before the page, which has all paths that nobody else has.
app.router.routes[:0] = objects.routes
