"""Objects for ``useObject``: one, a list of them, and one of some words. ``uvicorn examples.objects:app``.

In the page: ``useObject({ api: '/api/recipe', schema })``, and ``submit({ prompt: 'soup' })``.
"""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

from usechat import CompletionRequest, ObjectFinishEvent, StreamingAnswer, generate_object, stream_object
from usechat.models import anthropic

app = FastAPI()
model = anthropic("claude-sonnet-4-6")


class Recipe(BaseModel):
    """What the model is to fill in."""

    title: str
    items: list[str]


def tell(finished: ObjectFinishEvent) -> None:
    """The checked value, or why there is none."""
    print(finished.error or finished.object)


@app.post("/api/recipe")
async def recipe(request: CompletionRequest) -> StreamingAnswer:
    """One object, as it grows."""
    return stream_object(model, schema=Recipe, prompt=request.prompt, on_finish=tell).response(request)


@app.post("/api/recipes")
async def recipes(request: CompletionRequest) -> StreamingAnswer:
    """A list, element by element."""
    return stream_object(model, schema=Recipe, output="array", prompt=request.prompt).response(request)


@app.post("/api/mood")
async def mood(request: CompletionRequest) -> dict[str, str]:
    """One of three words, without streaming."""
    finished = await generate_object(model, output="enum", enum=["glad", "sad", "neither"], prompt=request.prompt)
    return {"mood": finished.object}
