"""OpenAI's chat completions, as the ``openai`` package and many compatible servers stream them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

from usechat.adapters.progress import AnswerProgress, field, finish_reason, known_usage
from usechat.adapters.reading import read_answer
from usechat.errors import ProviderStreamError
from usechat.parts import Part

__all__ = ["from_openai_chat"]


def from_openai_chat(stream: AsyncIterable[Any]) -> AsyncGenerator[Part]:
    """Yield the one step of a stream of chat completion chunks, objects or dicts.

        stream = await client.chat.completions.create(model=…, messages=…, stream=True)
        ui_message_stream(from_openai_chat(stream))

    Text, refusals, reasoning (``reasoning_content`` or ``reasoning``, as compatible servers name it) and tool calls are
    shown; nobody runs the tools. The usage comes with ``stream_options={"include_usage": True}``.

    Raises:
        ProviderStreamError: The stream holds an error.
        Exception: Those of the stream.
    """
    reader = ChatReader()
    return read_answer(stream, reader.answer, reader.read)


class ChatReader:
    """Reads the chunks of one completion."""

    def __init__(self) -> None:
        self.answer = AnswerProgress()
        self.calls: dict[int, str] = {}

    def read(self, chunk: Any) -> None:
        """Read one chunk."""
        if (error := field(chunk, "error")) is not None:
            raise ProviderStreamError(str(field(error, "message") or error), provider="openai")
        usage = field(chunk, "usage")
        if usage is not None:
            into, out = field(usage, "prompt_tokens_details"), field(usage, "completion_tokens_details")
            self.answer.note(
                usage=known_usage(
                    field(usage, "prompt_tokens"),
                    field(usage, "completion_tokens"),
                    cache_read=field(into, "cached_tokens"),
                    reasoning=field(out, "reasoning_tokens"),
                )
            )
        for choice in field(chunk, "choices") or ():
            if not field(choice, "index"):
                self.read_choice(choice)
                self.answer.note(
                    finish_reason=finish_reason(field(choice, "finish_reason")),
                    response_id=field(chunk, "id"),
                    model_id=field(chunk, "model"),
                )

    def read_choice(self, choice: Any) -> None:
        """Read what the first choice adds."""
        delta = field(choice, "delta")
        self.answer.reasoning(0, field(delta, "reasoning_content") or field(delta, "reasoning"))
        self.answer.text(0, field(delta, "content"))
        self.answer.text(0, field(delta, "refusal"))
        for call in field(delta, "tool_calls") or ():
            index, function = field(call, "index") or 0, field(call, "function")
            if index not in self.calls and field(function, "name"):
                # Some compatible servers give no ids.
                self.calls[index] = str(field(call, "id") or f"call-{index}")
                self.answer.begin_call(self.calls[index], str(field(function, "name")))
            self.answer.call_input(self.calls.get(index, ""), field(function, "arguments"))
