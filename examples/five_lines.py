"""A whole backend for ``useChat`` of AI SDK 3 to 7: ``uvicorn examples.five_lines:app``, with ANTHROPIC_API_KEY set."""

from fastapi import FastAPI

from usechat import ChatRequest, StreamingAnswer, stream_text
from usechat.models import anthropic

app = FastAPI()


@app.post("/api/chat")
async def chat(chat: ChatRequest) -> StreamingAnswer:
    """Answer."""
    return stream_text(anthropic("claude-sonnet-4-6"), messages=chat.messages).response(chat)
