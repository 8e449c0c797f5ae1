"""What the released clients talk to: the conformance app's routes, and one that writes its parts itself."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI

from tests.conformance.app import answer_chat, make_router, runs
from tests.conformance.scenario import PNG
from usechat import (
    ChatRequest,
    StreamingAnswer,
    StreamTextResult,
    UIMessageStreamWriter,
    step_count_is,
    stream_text,
    tool,
    ui_message_stream,
)
from usechat.models import anthropic
from usechat.parts import (
    Custom,
    File,
    FinishReason,
    FinishStep,
    MessageMetadata,
    ReasoningFile,
    SourceDocument,
    SourceUrl,
    Start,
    StartStep,
    TextDelta,
    TextStart,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputStart,
    ToolOutputAvailable,
    Usage,
)

PICTURE = f"data:image/png;base64,{PNG}"

app = FastAPI()
app.include_router(make_router("auto"))


@app.post("/api/parts")
async def parts(chat: ChatRequest) -> StreamingAnswer:
    return ui_message_stream(write_every_part).response(chat)


@app.post("/api/failing")
async def failing(chat: ChatRequest) -> StreamingAnswer:
    return ui_message_stream(write_and_fail).response(chat)


@app.post("/api/none-at-the-end")
async def none_at_the_end(chat: ChatRequest) -> StreamingAnswer:
    return ui_message_stream(say("Hel", "lo", None)).response(chat)


@app.post("/api/none-at-the-end-of-a-run")
async def none_at_the_end_of_a_run(chat: ChatRequest) -> StreamingAnswer:
    return ui_message_stream(say(None, "Hel", "lo", None)).response(chat, runs=runs, message_id=None)


@app.post("/api/wrong-value")
async def wrong_value(chat: ChatRequest) -> StreamingAnswer:
    return ui_message_stream(say("Hel", "lo", 3)).response(chat)


@app.post("/api/ending-tools")
async def ending_tools(chat: ChatRequest) -> StreamingAnswer:
    return with_ending_tools(chat).response(chat)


@app.post("/api/ending-tools-shown")
async def ending_tools_shown(chat: ChatRequest) -> StreamingAnswer:
    return with_ending_tools(chat).response(chat, tool_errors="shown")


@app.post("/api/plain")
async def plain(chat: ChatRequest) -> StreamingAnswer:
    return stream_text(anthropic(chat.extra["model"]), messages=chat.messages, max_retries=0).response(chat)


@app.post("/api/merged")
async def merged(chat: ChatRequest) -> StreamingAnswer:
    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.merge(answer_chat(chat, "auto"))

    return ui_message_stream(execute).response(chat)


def with_ending_tools(chat: ChatRequest) -> StreamTextResult:
    model = anthropic(chat.extra["model"])
    return stream_text(model, messages=chat.messages, tools=[exit_the_process, panic], stop_when=step_count_is(5))


async def say(*items: Any) -> AsyncIterator[Any]:
    """As other APIs' streams do, whose last chunk has no text."""
    for item in items:
        yield item


@tool
async def exit_the_process() -> str:
    """Do what argparse does with wrong arguments."""
    sys.exit(2)


class PanicError(BaseException):
    """As a Rust extension's."""


@tool
def panic() -> str:
    """Do what a Rust extension does."""
    raise PanicError("called `Option::unwrap()` on a `None` value")


async def write_every_part(writer: UIMessageStreamWriter) -> None:
    """Parts that no model of this package sends by itself."""
    writer.write(Start(message_metadata={"model": "by hand"}))
    writer.write(StartStep())
    writer.write_data("weather", {"city": "Oslo"}, id="w")
    writer.write_text("Here they are.")
    writer.write_data("weather", {"city": "Oslo", "temperature": 18}, id="w")
    writer.write_data("status", "nearly done", transient=True)
    writer.write(File(media_type="image/png", url=PICTURE))
    writer.write(SourceUrl(source_id="s1", url="https://tides.example/", title="Tides"))
    writer.write(SourceDocument(source_id="s2", media_type="application/pdf", title="Chart", filename="chart.pdf"))
    writer.write(ReasoningFile(media_type="image/png", url=PICTURE))
    writer.write(Custom("example.note", {"example": {"seen": True}}))
    writer.write(ToolInputStart(tool_call_id="t1", tool_name="look", dynamic=True, title="Looking"))
    writer.write(ToolInputDelta("t1", '{"at":"sea"}'))
    writer.write(ToolInputAvailable(tool_call_id="t1", tool_name="look", input={"at": "sea"}, dynamic=True))
    writer.write(
        ToolOutputAvailable(tool_call_id="t1", tool_name="look", output="waves", preliminary=True, dynamic=True)
    )
    writer.write(ToolOutputAvailable(tool_call_id="t1", tool_name="look", output=None, dynamic=True))
    writer.write(MessageMetadata({"seconds": 1.5}))
    writer.write(FinishStep(finish_reason=FinishReason("stop"), usage=Usage()))


async def write_and_fail(writer: UIMessageStreamWriter) -> None:
    """Some text, and an error of the application's own."""
    writer.write(TextStart("t"))
    writer.write(TextDelta("t", "So far"))
    raise LookupError("the sea is gone")
