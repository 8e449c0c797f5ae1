"""A backend that keeps what it would save: what ``on_finish`` gives, to be asked for by the model's name."""

from __future__ import annotations

import json

from fastapi import FastAPI, Response

from tests.conformance.app import SYSTEM, make_tools
from usechat import ChatRequest, FinishEvent, StreamingAnswer, step_count_is, stream_text
from usechat.models import anthropic

app = FastAPI()
saved: dict[str, list[FinishEvent]] = {}


@app.post("/{sdk}/api/chat")
async def chat(sdk: str, chat: ChatRequest) -> StreamingAnswer:
    body = chat.extra
    result = stream_text(
        anthropic(body["model"]),
        system=SYSTEM,
        messages=chat.messages,
        tools=make_tools(sdk, body.get("extraTools") or [], body.get("serverTools") or []),
        stop_when=step_count_is(5),
        max_retries=0,
        on_finish=saved.setdefault(body["model"], []).append,
    )
    return result.response(chat, sdk=sdk)


@app.get("/saved/{model}")
async def get_saved(model: str) -> Response:
    (finished,) = saved.pop(model)
    # In ASCII: a message can hold half a surrogate pair, as JavaScript's strings can.
    content = json.dumps({"message": finished.ui_message, "failed": finished.error is not None})
    return Response(content, media_type="application/json")
