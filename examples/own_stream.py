"""An answer that the application writes itself, with the ``anthropic`` package's own stream in the middle of it.

``uvicorn examples.own_stream:app``, with ANTHROPIC_API_KEY set. For those who have a loop of their own already: the
stream is theirs, the protocol is ours.
"""

from __future__ import annotations

from anthropic import AsyncAnthropic
from fastapi import FastAPI

from usechat import ChatRequest, StreamingAnswer, UIMessageStreamWriter, ui_message_stream

app = FastAPI()
client = AsyncAnthropic()


@app.post("/api/chat")
async def chat(chat: ChatRequest) -> StreamingAnswer:
    """Answer the last message, and say before and after what is going on."""
    question = "".join(part.get("text", "") for part in chat.messages[-1].parts if part["type"] == "text")

    async def write(writer: UIMessageStreamWriter) -> None:
        writer.write_data("status", {"text": "thinking"}, id="status")
        stream = await client.messages.create(
            model="claude-sonnet-4-6",
            max_tokens=1024,
            messages=[{"role": "user", "content": question}],
            stream=True,
        )
        await writer.merge(stream)
        writer.write_data("status", {"text": "done"}, id="status")

    return ui_message_stream(write).response(chat)
