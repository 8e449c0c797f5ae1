"""Code of an application that gives wrong values, and the table of all cases."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any

from tests.integration.failing_code import CALLBACKS, LEFT, PLACES, SAID, WHOLE, Failing, nothing, say
from usechat import StepSettings, ToolContext, UIMessageStreamWriter, tool
from usechat.answers.answer import Answer
from usechat.parts import Data, Finish, FinishReason, FinishStep, TextDelta, TextEnd, TextStart, ToolCall, Usage
from usechat.testing.models import calling_tool, saying


def write_parts(*parts: Any) -> Any:
    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.write_text("Hello")
        for part in parts:
            writer.write(part)

    return execute


def write_text(*texts: Any) -> Any:
    async def execute(writer: UIMessageStreamWriter) -> None:
        for text in texts:
            writer.write_text(text)

    return execute


def transform_to(value: Any) -> Any:
    async def transform(batches: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for batch in batches:
            yield batch
            if any(isinstance(part, TextDelta) for part in batch):
                yield value

    return transform


def write_at_once(writer: UIMessageStreamWriter) -> None:
    writer.write_text("Hello")


def give_nothing(*_: Any) -> None: ...


def give_what_json_cannot_hold(*_: Any) -> Any:
    return {"a": object()}


def give_three(*_: Any) -> Any:
    return 3


def choose_no_model(*_: Any) -> Any:
    return StepSettings(model=WRONG["no-part"])


async def returns_three(*_: Any) -> Any:
    return 3


async def yields_what_json_cannot_hold(_: Any) -> AsyncGenerator[Any]:
    yield object()
    yield "done"


def writes_in_tool(part: Any) -> Any:
    async def look(context: ToolContext) -> str:
        context.writer.write(part)
        return "done"

    return tool(name="any")(look)


def part(class_: Any, *fields: Any, **named: Any) -> Any:
    """A part as an application makes it that no type checker looks at."""
    return class_(*fields, **named)


WRONG: Mapping[str, Any] = {
    "delta": part(TextDelta, "0", 3),
    "id": part(TextStart, 3),
    "metadata": part(TextStart, "0", {"anthropic": 3}),
    "data": part(Data, name="x", data=object()),
    "name": part(Data, name=3, data=1),
    "finish": part(Finish, finish_reason="stop", total_usage=Usage()),
    "usage": part(FinishStep, finish_reason=FinishReason("stop"), usage=part(Usage, output="3")),
    "reason": part(FinishStep, finish_reason=part(FinishReason, "bogus"), usage=Usage()),
    "no-part": 3,
    "text": "Hello",
    "of-a-model": object(),
}
"""Parts that are none, or have a field of a wrong type."""

VALUES: Mapping[str, tuple[str, Callable[[Failing], Answer]]] = {
    "none-last": ("whole", lambda one: one.write(say("Hel", "lo", None))),
    "none-first": ("whole", lambda one: one.write(say(None, "Hel", "lo"))),
    "none-among": ("whole", lambda one: one.write(say("Hel", None, "", "lo"))),
    "empty-first": ("whole", lambda one: one.write(say("", "Hel", "lo"))),
    "none-among-parts": (
        "whole",
        lambda one: one.write(say(None, TextStart("0"), TextDelta("0", "Hello"), None, TextEnd("0"), "")),
    ),
    "none-as-delta": (
        "whole",
        lambda one: one.write(say(TextStart("0"), TextDelta("0", "Hello"), part(TextDelta, "0", None), TextEnd("0"))),
    ),
    "none-written": ("whole", lambda one: one.write(write_text(None, "Hello", ""))),
    "none-as-part": ("whole", lambda one: one.write(write_parts(None))),
    "none-of-transform": ("whole", lambda one: one.ask(WHOLE, transform=transform_to(None))),
    "none-in-batch-of-transform": ("whole", lambda one: one.ask(WHOLE, transform=transform_to([None]))),
    "none-of-model": ("whole", lambda one: one.model(items=[None, *SAID, None], closing=True)),
    "none-in-batch-of-model": ("whole", lambda one: one.model(items=[[None], *SAID], closing=True)),
    "number-in-text": ("error", lambda one: one.write(say("Hello", 3))),
    "part-in-text": ("error", lambda one: one.write(say("Hello", TextStart("0")))),
    "bytes-in-text": ("error", lambda one: one.write(say("Hello", b"lo"))),
    "text-in-parts": ("error", lambda one: one.write(say(TextStart("0"), TextDelta("0", "Hello"), "lo"))),
    "number-in-events": ("error", lambda one: one.write(say({"type": "ping"}, 3))),
    "number-first": ("error", lambda one: one.write(say(3))),
    "object-first": ("error", lambda one: one.write(say(object()))),
    "number-written": ("error", lambda one: one.write(write_text("Hello", 3))),
    "execute-is-plain": ("whole", lambda one: one.write(write_at_once)),
    **{
        f"{name}-of-writer": ("error", lambda one, wrong=wrong: one.write(write_parts(wrong)))
        for name, wrong in WRONG.items()
    },
    **{
        f"{name}-of-iterator": ("error", lambda one, wrong=wrong: one.write(say(TextStart("1"), wrong)))
        for name, wrong in WRONG.items()
    },
    **{
        f"{name}-of-transform": ("error", lambda one, wrong=wrong: one.ask(WHOLE, transform=transform_to([wrong])))
        for name, wrong in WRONG.items()
    },
    **{
        f"{name}-of-model": ("error", lambda one, wrong=wrong: one.model(items=[*SAID[:2], [wrong]]))
        for name, wrong in WRONG.items()
    },
    **{
        f"{name}-of-tool": (
            "tool",
            lambda one, wrong=wrong: one.ask(calling_tool("any"), saying("after"), tools=[writes_in_tool(wrong)]),
        )
        for name, wrong in WRONG.items()
    },
    "batch-of-transform": ("error", lambda one: one.ask(WHOLE, transform=transform_to(3))),
    "transform-of-nothing": ("error", lambda one: one.ask(WHOLE, transform=give_nothing)),
    "batch-of-model": ("error", lambda one: one.model(items=[*SAID[:2], TextDelta("0", "lo")])),
    "input-of-model": (
        "error",
        lambda one: one.model(items=[[part(ToolCall, tool_call_id="1", tool_name="x", input_text=None)]]),
    ),
    "preliminary-output": ("tool", lambda one: one.call(yields_what_json_cannot_hold)),
    "model-output": ("tool", lambda one: one.call(nothing, to_model_output=returns_three)),
    "repaired-call": (
        "tool",
        lambda one: one.ask(calling_tool("none"), saying("after"), repair_tool_call=returns_three),
    ),
    "step-settings": ("error", lambda one: one.ask(WHOLE, prepare_step=returns_three)),
    "no-model": ("error", lambda one: one.ask(WHOLE, prepare_step=choose_no_model)),
    "metadata-of-message": ("whole", lambda one: one.ask(WHOLE, message_metadata=give_what_json_cannot_hold)),
    "text-of-on-error": ("error", lambda one: one.ask([RuntimeError("secret")], on_error=give_three)),
    "text-of-async-on-error": ("error", lambda one: one.ask([RuntimeError("secret")], on_error=Asynchronous())),
}


class Asynchronous:
    """A callback that is not seen to be async before it is called."""

    async def __call__(self, error: BaseException) -> str:
        return "never"


CASES = {**PLACES, **CALLBACKS, **VALUES, **{f"left-{name}": ("left", make) for name, make in LEFT.items()}}
