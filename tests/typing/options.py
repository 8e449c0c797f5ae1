"""Programs that a type checker takes, and such as it refuses: an ignored error that is none is one."""

from typing import assert_type

from pydantic import BaseModel

from usechat import (
    FinishEvent,
    UIMessage,
    generate_object,
    generate_text,
    step_count_is,
    stream_object,
    stream_text,
    tool,
)
from usechat.messages.model import ModelMessage
from usechat.models.base import Model


class Recipe(BaseModel):
    """Something to cook."""

    name: str


async def takes_what_there_is(model: Model) -> None:
    """Typed options, and what comes of them."""
    event = await generate_text(model, prompt="Hi", temperature=0.5, stop_when=step_count_is(3), system="Be brief.")
    assert_type(event, FinishEvent)
    assert_type((await generate_object(model, schema=Recipe, prompt="Soup")).object, Recipe)
    assert_type((await generate_object(model, schema=Recipe, output="array", prompt="Soups")).object, list[Recipe])
    assert_type((await generate_object(model, output="enum", enum=["a", "b"], prompt="Which?")).object, str)
    assert_type((await generate_object(model, schema=list[int], prompt="Which?")).object, list[int])
    assert_type(await stream_object(model, schema=Recipe, prompt="Soup").object, Recipe)
    await generate_object(model, schema={"type": "object"}, prompt="Soup", max_output_tokens=100)
    stream_text(model, prompt="Hi", provider_options={"anthropic": {"thinking": {"type": "adaptive"}}})


async def refuses_what_there_is_not(model: Model) -> None:
    """What is written wrong."""
    await generate_text(model, prompt="Hi", temprature=3)  # pyright: ignore[reportCallIssue]
    await generate_text(model, prompt="Hi", stop_when=5)  # pyright: ignore[reportArgumentType]
    await generate_text("claude-sonnet-4-6", prompt="Hi")  # pyright: ignore[reportArgumentType]
    stream_text(model, prompt="Hi", temprature=3)  # pyright: ignore[reportCallIssue]
    stream_text(model, prompt="Hi", on_finish=3)  # pyright: ignore[reportArgumentType]
    stream_text(model, prompt="Hi").response(sdk="7", send_nothing=True)  # pyright: ignore[reportCallIssue]
    await generate_object(model, schema=Recipe, tools=[], prompt="Soup")  # pyright: ignore[reportCallIssue]


@tool
async def get_tide(port: str, *, day: int = 1) -> float:
    """Return metres."""
    return float(len(port) + day)


@tool(needs_approval=True)
def delete_file(path: str) -> bool:
    """Delete it."""
    return bool(path)


async def keeps_the_types_of_a_tool() -> None:
    """A call of a tool is a call of its function."""
    assert_type(await get_tide("Whitby", day=2), float)
    assert_type(delete_file("a"), bool)
    await get_tide(3)  # pyright: ignore[reportArgumentType]
    delete_file(paht="a")  # pyright: ignore[reportCallIssue]
    tool(input_schema=Recipe)  # pyright: ignore[reportCallIssue]
    tool(need_approval=True)  # pyright: ignore[reportCallIssue]


async def takes_messages_of_every_kind(model: Model, posted: list[UIMessage], earlier: list[ModelMessage]) -> None:
    """Objects, and dicts of the AI SDK's and of Anthropic's form."""
    stream_text(model, messages=posted)
    stream_text(model, messages=[*earlier, {"role": "user", "content": "Hi"}])
    stream_text(model, messages=[{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}])
    stream_text(model, messages=[{"role": "user", "content": [{"type": "image", "image": "https://a.example/a.png"}]}])
    stream_text(
        model,
        messages=[
            {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://a.example"}}]}
        ],
    )
    stream_text(model, messages=[{"role": "someone", "content": "Hi"}])  # pyright: ignore[reportArgumentType]
    stream_text(model, messages=[{"role": "user", "text": "Hi"}])  # pyright: ignore[reportArgumentType]
    stream_text(model, messages="Hi")  # pyright: ignore[reportArgumentType]
