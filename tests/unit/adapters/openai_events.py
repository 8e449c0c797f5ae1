"""Events of OpenAI's Responses API, as objects of its package."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseCreatedEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseFunctionToolCall,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseReasoningItem,
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseTextDeltaEvent,
    ResponseUsage,
)
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

__all__ = ["call_turn", "ended", "items", "text_turn"]

USAGE = ResponseUsage(
    input_tokens=10,
    input_tokens_details=InputTokensDetails(cached_tokens=6, cache_write_tokens=0),
    output_tokens=4,
    output_tokens_details=OutputTokensDetails(reasoning_tokens=1),
    total_tokens=14,
)


def response(output: Sequence[Any] = ()) -> Response:
    return Response(
        id="resp_1",
        created_at=0,
        model="gpt-x",
        object="response",
        output=list(output),
        parallel_tool_calls=True,
        status="completed",
        tool_choice="auto",
        tools=[],
        usage=USAGE,
    )


def created() -> Any:
    return ResponseCreatedEvent(response=response(), sequence_number=0, type="response.created")


def ended(output: Sequence[Any] = ()) -> Any:
    return ResponseCompletedEvent(response=response(output), sequence_number=9, type="response.completed")


def added(item: Any, index: int) -> Any:
    return ResponseOutputItemAddedEvent(
        item=item, output_index=index, sequence_number=1, type="response.output_item.added"
    )


def done(item: Any, index: int) -> Any:
    return ResponseOutputItemDoneEvent(
        item=item, output_index=index, sequence_number=8, type="response.output_item.done"
    )


def items(*events: Any) -> list[Any]:
    """A response with these events."""
    return [created(), *events, ended()]


def text_turn(*texts: str, thoughts: Sequence[str] = ()) -> Iterator[Any]:
    yield created()
    if thoughts:
        item = ResponseReasoningItem(id="rs_1", summary=[], type="reasoning")
        yield added(item, 0)
        for thought in thoughts:
            yield ResponseReasoningSummaryTextDeltaEvent(
                delta=thought,
                item_id="rs_1",
                output_index=0,
                sequence_number=2,
                summary_index=0,
                type="response.reasoning_summary_text.delta",
            )
        yield done(item, 0)
    text = ResponseOutputText(annotations=[], text="".join(texts), type="output_text")
    message = ResponseOutputMessage(id="msg_1", content=[text], role="assistant", status="completed", type="message")
    yield added(message.model_copy(update={"content": []}), 1)
    for each in texts:
        yield ResponseTextDeltaEvent(
            content_index=0,
            delta=each,
            item_id="msg_1",
            logprobs=[],
            output_index=1,
            sequence_number=3,
            type="response.output_text.delta",
        )
    yield done(message, 1)
    yield ended([message])


def call_turn(*calls: tuple[str, str, str]) -> Iterator[Any]:
    """A response that calls functions: name, input and id of each."""
    yield created()
    whole: list[Any] = []
    for index, (name, arguments, call_id) in enumerate(calls):
        item = ResponseFunctionToolCall(arguments="", call_id=call_id, id="same", name=name, type="function_call")
        yield added(item, index)
        half = len(arguments) // 2
        for piece in (arguments[:half], arguments[half:]):
            yield ResponseFunctionCallArgumentsDeltaEvent(
                delta=piece,
                item_id="same",
                output_index=index,
                sequence_number=2,
                type="response.function_call_arguments.delta",
            )
        whole.append(item.model_copy(update={"arguments": arguments}))
    for index, item in enumerate(whole):
        yield done(item, index)
    yield ended(whole)
