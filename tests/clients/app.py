"""What the released clients talk to: the conformance app's routes, and one that writes its parts itself."""

from __future__ import annotations

from fastapi import FastAPI

from tests.conformance.app import make_router
from tests.conformance.scenarios import PNG
from usechat import ChatRequest, StreamingAnswer, UIMessageStreamWriter, ui_message_stream
from usechat import parts as p

PICTURE = f"data:image/png;base64,{PNG}"

app = FastAPI()
app.include_router(make_router("auto"))


@app.post("/api/parts")
async def parts(chat: ChatRequest) -> StreamingAnswer:
    return ui_message_stream(write_every_part).response(chat)


@app.post("/api/failing")
async def failing(chat: ChatRequest) -> StreamingAnswer:
    return ui_message_stream(write_and_fail).response(chat)


async def write_every_part(writer: UIMessageStreamWriter) -> None:
    """Parts that no model of this package sends by itself."""
    writer.write(p.Start(message_metadata={"model": "by hand"}))
    writer.write(p.StartStep())
    writer.write_data("weather", {"city": "Oslo"}, id="w")
    writer.write_text("Here they are.")
    writer.write_data("weather", {"city": "Oslo", "temperature": 18}, id="w")
    writer.write_data("status", "nearly done", transient=True)
    writer.write(p.File(media_type="image/png", url=PICTURE))
    writer.write(p.SourceUrl(source_id="s1", url="https://tides.example/", title="Tides"))
    writer.write(p.SourceDocument(source_id="s2", media_type="application/pdf", title="Chart", filename="chart.pdf"))
    writer.write(p.ReasoningFile(media_type="image/png", url=PICTURE))
    writer.write(p.Custom("example.note", {"example": {"seen": True}}))
    writer.write(p.ToolInputStart(tool_call_id="t1", tool_name="look", dynamic=True, title="Looking"))
    writer.write(p.ToolInputDelta("t1", '{"at":"sea"}'))
    writer.write(p.ToolInputAvailable(tool_call_id="t1", tool_name="look", input={"at": "sea"}, dynamic=True))
    writer.write(
        p.ToolOutputAvailable(tool_call_id="t1", tool_name="look", output="waves", preliminary=True, dynamic=True)
    )
    writer.write(p.ToolOutputAvailable(tool_call_id="t1", tool_name="look", output=None, dynamic=True))
    writer.write(p.MessageMetadata({"seconds": 1.5}))
    writer.write(p.FinishStep(finish_reason=p.FinishReason("stop"), usage=p.Usage()))


async def write_and_fail(writer: UIMessageStreamWriter) -> None:
    """Some text, and an error of the application's own."""
    writer.write(p.TextStart("t"))
    writer.write(p.TextDelta("t", "So far"))
    raise LookupError("the sea is gone")
