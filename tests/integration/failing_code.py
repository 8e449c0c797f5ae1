"""Code of an application that fails: in its callbacks, its tools and its streams, or after its reader has left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, create_model

from usechat import (
    FinishEvent,
    UIMessageStreamWriter,
    step_count_is,
    stream_object,
    stream_text,
    tool,
    ui_message_stream,
)
from usechat.answers.answer import Answer
from usechat.parts import TextDelta, TextStart
from usechat.testing.models import ScriptedModel, Step, calling_tool, saying


class PanicError(BaseException):
    """As a Rust extension's panic: no `Exception`."""


class UnprintableError(Exception):
    """Nobody can say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("secret")

    __repr__ = __str__


ERRORS: Mapping[str, Callable[[], BaseException]] = {
    "RuntimeError": lambda: RuntimeError("secret"),
    "UnprintableError": UnprintableError,
    "PanicError": lambda: PanicError("secret"),
    "SystemExit": lambda: SystemExit(2),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("secret", [PanicError()]),
    "CancelledError": asyncio.CancelledError,
    "GeneratorExit": GeneratorExit,
    "StopIteration": StopIteration,
    "StopAsyncIteration": StopAsyncIteration,
}
"""All that is to end nothing but what raised it. `KeyboardInterrupt` is to end the process."""


@dataclass
class Heard:
    """What the application was told of one answer."""

    errors: list[str] = field(default_factory=list[str])
    ends: list[FinishEvent] = field(default_factory=list[FinishEvent])

    def on_error(self, error: BaseException) -> None:
        self.errors.append(type(error).__name__)

    def options(self) -> dict[str, Any]:
        return {"on_error": self.on_error, "on_finish": self.ends.append}


@dataclass
class Failing:
    """One answer that is to fail."""

    error: Callable[[], BaseException]
    heard: Heard

    def fail(self, *_: Any) -> Any:
        raise self.error()

    async def fail_later(self, *_: Any) -> Any:
        await asyncio.sleep(0)
        raise self.error()

    def ask(self, *steps: Step, **options: Any) -> Answer:
        told: dict[str, Any] = {**self.heard.options(), "stop_when": step_count_is(3), **options}
        return stream_text(ScriptedModel(*steps), prompt="Hi", **told)

    def call(self, execute: Callable[..., Any], **options: Any) -> Answer:
        made = tool(name="any", input_schema={}, execute=execute, **options)
        return self.ask(calling_tool("any"), saying("after"), tools=[made])

    def write(self, source: Any, **options: Any) -> Answer:
        return ui_message_stream(source, **{**self.heard.options(), **options})

    async def fail_after(self, *items: Any) -> AsyncGenerator[Any]:
        for item in items:
            yield item
        raise self.error()

    def model(self, *, at_call: bool = False, closing: bool = False, items: Sequence[Any] = ()) -> Answer:
        failing = self

        class Stream:
            def __init__(self) -> None:
                self.items = say(*items) if closing else failing.fail_after(*items)

            def __aiter__(self) -> Stream:
                return self

            def __anext__(self) -> Any:
                return anext(self.items)

            async def aclose(self) -> None:
                if closing:
                    raise failing.error()

        class OwnModel:
            provider = model_id = "own"

            def stream(self, call: Any) -> Any:
                if at_call:
                    raise failing.error()
                return Stream()

        return stream_text(OwnModel(), prompt="Hi", **self.heard.options())


WHOLE = saying("Hel", "lo")
SAID: Sequence[Any] = [*WHOLE]


async def say(*texts: Any) -> AsyncIterator[Any]:
    for text in texts:
        yield text


async def nothing(*_: Any) -> str:
    return "done"


def generated(failing: Failing) -> Any:
    async def execute(_: Any) -> AsyncGenerator[str]:
        yield "first"
        raise failing.error()

    return execute


def generated_on_thread(failing: Failing) -> Any:
    def execute(_: Any) -> Any:
        yield "first"
        raise failing.error()

    return execute


def transforming(failing: Failing, *, closing: bool = False) -> Any:
    async def transform(batches: AsyncIterator[Any]) -> AsyncIterator[Any]:
        count = 0
        async for batch in batches:
            yield batch
            count += 1
            if count == 4 and not closing:
                raise failing.error()
        if closing:
            raise failing.error()

    return transform


def writing(failing: Failing) -> Any:
    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.write_text("Hello")
        await asyncio.sleep(0)
        raise failing.error()

    return execute


def merging(failing: Failing) -> Any:
    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.write_text("Hello")
        await writer.merge(failing.fail_after())

    return execute


class Iterated:
    """A stream of text that fails where it is told to."""

    def __init__(self, failing: Failing, where: str) -> None:
        self.failing = failing
        self.where = where
        self.texts = iter(("Hel", "lo"))

    def __aiter__(self) -> Iterated:
        if self.where == "aiter":
            raise self.failing.error()
        return self

    async def __anext__(self) -> str:
        for text in self.texts:
            return text
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if self.where == "aclose":
            raise self.failing.error()


def validated(failing: Failing) -> Any:
    def fail(value: int) -> int:
        return failing.fail(value)

    check: Any = AfterValidator(fail)
    schema = create_model("Input", number=(Annotated[int, check], ...))
    made = tool(name="any", input_schema=schema, execute=nothing)
    return failing.ask(calling_tool("any", {"number": 1}), saying("after"), tools=[made])


def repairing(failing: Failing) -> Answer:
    return failing.ask(calling_tool("none"), saying("after"), repair_tool_call=failing.fail_later)


def objected(failing: Failing) -> Answer:
    options: dict[str, Any] = {**failing.heard.options(), "repair_text": failing.fail_later}
    return stream_object(ScriptedModel(saying("no JSON")), prompt="Hi", schema={"type": "object"}, **options)


PLACES: Mapping[str, tuple[str, Callable[[Failing], Answer]]] = {
    # the call fails, and the model goes on
    "tool-async": ("tool", lambda one: one.call(one.fail_later)),
    "tool-on-thread": ("tool", lambda one: one.call(one.fail)),
    "tool-generator": ("tool", lambda one: one.call(generated(one))),
    "tool-generator-on-thread": ("tool", lambda one: one.call(generated_on_thread(one))),
    "to-model-output": ("tool", lambda one: one.call(nothing, to_model_output=one.fail)),
    "to-model-output-async": ("tool", lambda one: one.call(nothing, to_model_output=one.fail_later)),
    "schema": ("tool", validated),
    "repair-tool-call": ("tool", repairing),
    # the answer fails
    "needs-approval": ("error", lambda one: one.call(nothing, needs_approval=one.fail_later)),
    "prepare-step": ("error", lambda one: one.ask(WHOLE, prepare_step=one.fail_later)),
    "stop-when": ("error", lambda one: one.ask(calling_tool("none"), stop_when=one.fail)),
    "transform-made": ("error", lambda one: one.ask(WHOLE, transform=one.fail)),
    "transform": ("error", lambda one: one.ask(WHOLE, transform=transforming(one))),
    "model-called": ("error", lambda one: one.model(at_call=True)),
    "model-first": ("error", lambda one: one.model()),
    "model-middle": ("error", lambda one: one.model(items=SAID[:2])),
    "writer": ("error", lambda one: one.write(writing(one))),
    "writer-at-once": ("error", lambda one: one.write(one.fail_later)),
    "merged": ("error", lambda one: one.write(merging(one))),
    "iterator-first": ("error", lambda one: one.write(one.fail_after())),
    "iterator-middle": ("error", lambda one: one.write(one.fail_after("Hel"))),
    "iterator-of-parts": ("error", lambda one: one.write(one.fail_after(TextStart("0"), TextDelta("0", "Hel")))),
    "iterator-begun": ("error", lambda one: one.write(Iterated(one, "aiter"))),
    # nothing of the answer is lost
    "transform-end": ("whole", lambda one: one.ask(WHOLE, transform=transforming(one, closing=True))),
    "iterator-closed": ("whole", lambda one: one.write(Iterated(one, "aclose"))),
    "model-closed": ("whole", lambda one: one.model(closing=True, items=SAID)),
    "on-part": ("whole", lambda one: one.ask(WHOLE, on_part=one.fail_later)),
    "on-part-plain": ("whole", lambda one: one.ask(WHOLE, on_part=one.fail)),
    "on-step-finish": ("whole", lambda one: one.ask(WHOLE, on_step_finish=one.fail_later)),
    "message-metadata": ("whole", lambda one: one.ask(WHOLE, message_metadata=one.fail)),
    "repair-text": ("whole", objected),
}


def failing_to_hear(one: Failing, name: str, *steps: Step) -> Answer:
    """An answer whose callback hears, and then fails."""
    hear = one.heard.options()[name]

    def fail(value: Any) -> Any:
        hear(value)
        raise one.error()

    return one.ask(*steps, **{name: fail})


CALLBACKS: Mapping[str, tuple[str, Callable[[Failing], Answer]]] = {
    "on-finish": ("whole", lambda one: failing_to_hear(one, "on_finish", WHOLE)),
    "on-error": ("error", lambda one: failing_to_hear(one, "on_error", [RuntimeError("secret")])),
    "on-error-of-tool": (
        "tool",
        lambda one: failing_to_hear(one, "on_error", calling_tool("none"), saying("after")),
    ),
}


def until_left(failing: Failing) -> Any:
    async def wait(*_: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise failing.error()

    return wait


def iterated_until_left(failing: Failing, *items: Any) -> AsyncIterator[Any]:
    async def wait() -> AsyncIterator[Any]:
        for item in items:
            yield item
        await until_left(failing)()

    return wait()


def transform_until_left(failing: Failing) -> Any:
    async def transform(batches: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for batch in batches:
            yield batch
            await until_left(failing)()

    return transform


def stopped(failing: Failing) -> Answer:
    async def wait(*_: Any) -> None:
        await asyncio.Event().wait()

    return failing.ask([wait], on_abort=failing.fail_later)


LEFT: Mapping[str, Callable[[Failing], Answer]] = {
    "tool": lambda one: one.call(until_left(one)),
    "needs-approval": lambda one: one.call(nothing, needs_approval=until_left(one)),
    "prepare-step": lambda one: one.ask(WHOLE, prepare_step=until_left(one)),
    "model": lambda one: one.ask([SAID[0], until_left(one)]),
    "transform": lambda one: one.ask(WHOLE, transform=transform_until_left(one)),
    "writer": lambda one: one.write(until_left(one)),
    "iterator": lambda one: one.write(iterated_until_left(one, "Hel")),
    "on-part": lambda one: one.ask(WHOLE, on_part=until_left(one)),
    "on-step-finish": lambda one: one.ask(WHOLE, on_step_finish=until_left(one)),
    "on-abort": stopped,
}
"""What waits until the reader leaves, and fails then."""
