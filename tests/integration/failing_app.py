"""An application whose every function can be told to fail, in every way, on each of the roads to a reader.

A request names the road, the case and what is raised: ``POST /runs/tool-async/SystemExit``. `PLACES` are the places
where an application's code is called, `VALUES` those where it gives a wrong value.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import FastAPI, Request, WebSocket
from pydantic import AfterValidator, create_model
from starlette.responses import Response

from usechat import (
    ChatRequest,
    FinishEvent,
    StepSettings,
    ToolContext,
    UIMessageStreamWriter,
    step_count_is,
    stream_object,
    stream_text,
    tool,
    ui_message_stream,
)
from usechat.answers.answer import Answer
from usechat.chats.sql.migrations.migrate import migrate
from usechat.chats.sql.store import SqlChatStore
from usechat.errors import ChatError
from usechat.http.websocket import ChatSocket
from usechat.parts import Data, Finish, FinishReason, FinishStep, TextDelta, TextEnd, TextStart, ToolCall, Usage
from usechat.runs.memory import MemoryLog
from usechat.runs.service import RunService
from usechat.server.answering.conversations import OWNER, Conversations
from usechat.server.answering.turn_ends import TurnEnd
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

heard: defaultdict[str, Heard] = defaultdict(Heard)
told: list[TurnEnd] = []
"""The ends of saved turns."""
runs = RunService(MemoryLog(), shutdown_timeout=0.5)
conversations: list[Conversations] = []
"""The first is that of all roads but the failing stores'."""
database: list[str] = []


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'chats.db'}"
        await migrate(url)
        kept = Conversations(
            SqlChatStore(url), RunService(MemoryLog(), shutdown_timeout=0.5), "client", on_finish=note_end
        )
        conversations.append(kept)
        database.append(url)
        async with kept, runs:
            yield
            for others in conversations[1:]:
                await others.store.aclose()


def note_end(end: TurnEnd) -> None:
    told.append(end)


def make_answer(road: str, case: str, error: str) -> Answer:
    failing = Failing(ERRORS.get(error, RuntimeError), heard[f"{road}/{case}/{error}"])
    return CASES[case][1](failing)


app = FastAPI(lifespan=lifespan)


class FailingStore(SqlChatStore):
    """A store of which one function fails at its first call."""

    def __init__(self, url: str, method: str, error: Callable[[], BaseException]) -> None:
        super().__init__(url)
        works = getattr(self, method)

        async def fail(*_: Any, **__: Any) -> Any:
            setattr(self, method, works)
            raise error()

        setattr(self, method, fail)


@app.post("/stores/{method}/{error}")
async def failing_store(method: str, error: str, chat: ChatRequest) -> Response:
    kept = Conversations(FailingStore(database[0], method, ERRORS[error]), RunService(MemoryLog()), "client")
    conversations.append(kept)
    heard_here = heard[f"stores/{method}/{error}"]
    answer = ui_message_stream(say("Hel", "lo"), **heard_here.options())
    turn = await kept.plan(chat, chat.id or "")
    return kept.respond(turn, answer, sdk="7.0.173")


@app.post("/{road}/{case}/{error}")
async def chat(road: str, case: str, error: str, chat: ChatRequest) -> Response:
    answer = make_answer(road, case, error)
    options: dict[str, Any] = {"sdk": "7.0.173", "wire_format": "ui-message-stream"}
    match road:
        case "runs":
            return answer.response(chat, runs=runs, **options)
        case "saved":
            turn = await conversations[0].plan(chat, chat.id or "")
            return conversations[0].respond(turn, answer, **options)
        case "library":
            return answer.response(chat, **options)
        case _:
            return answer.response(chat, wire_format=cast("Any", road), sdk="4.3.19")


@app.websocket("/socket/{case}/{error}")
async def socket(websocket: WebSocket, case: str, error: str) -> None:
    await ChatSocket(websocket, lambda chat: make_answer("socket", case, error), sdk="7.0.173").serve()


@app.websocket("/handler/{error}")
async def failing_handler(websocket: WebSocket, error: str) -> None:
    await ChatSocket(websocket, Failing(ERRORS[error], Heard()).fail_later).serve()


@app.get("/heard/{road}/{case}/{error}")
async def what_was_heard(road: str, case: str, error: str) -> dict[str, Any]:
    one = heard[f"{road}/{case}/{error}"]
    event: Any = one.ends[0] if one.ends else None
    return {
        "ends": len(one.ends),
        "error": None if event is None or event.error is None else type(event.error).__name__,
        "errors": one.errors,
    }


@app.get("/saved/{chat_id:path}")
async def saved(chat_id: str) -> dict[str, Any]:
    try:
        chat = await conversations[0].store.load_chat(OWNER, chat_id)
    except ChatError as error:
        return {"missing": error.code}
    return {
        "is_answering": chat.chat.active_run_id is not None,
        "messages": [one.message for one in chat.messages],
        "ends": sum(end.chat_id == chat_id for end in told),
    }


@app.get("/tasks")
async def tasks() -> list[str]:
    """What of this package runs."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    ours = ("Answer.", "Callbacks.", "WriterTurn.", "UIMessageStreamWriter.", "ToolRunner.", "Sender.")
    return [name for name in names if name.startswith((*ours, "RunService._produce", "NewRun."))]


@app.post("/held")
async def held(request: Request, chat: ChatRequest) -> Response:
    """Some text, what brings nothing, and then silence."""

    async def stay_silent() -> AsyncIterator[Any]:
        for item in (None, "Hel", "lo", None):
            yield item
        await asyncio.Event().wait()

    async def never_return(*_: Any) -> None:
        await asyncio.Event().wait()

    options: dict[str, Any] = {"on_finish": never_return} if request.query_params.get("callback") else {}
    road = request.query_params.get("road")
    answer = ui_message_stream(say("Hello") if options else stay_silent(), **options)
    if road == "saved":
        return conversations[0].respond(await conversations[0].plan(chat, chat.id or ""), answer)
    return answer.response(chat, runs=runs if road == "runs" else None)
