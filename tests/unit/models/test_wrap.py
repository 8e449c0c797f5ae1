"""`wrap_model`, `with_defaults` and `fallback`: models made of models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
import pytest

from usechat import count_tokens, generate_text, stream_text
from usechat.errors import ConfigurationError, ProviderStatusError, ProviderStreamError, RequestError
from usechat.models import anthropic, fallback, with_defaults, wrap_model
from usechat.models.base import Model, ModelCall
from usechat.parts import ModelPart, TextDelta
from usechat.testing.models import ScriptedModel, saying
from usechat.testing.replay import ReplayServer, Reply

pytestmark = pytest.mark.anyio


def itself(model: Model) -> Model:
    return model


def cooled(model: Model) -> Model:
    return with_defaults(model, temperature=0)


BROKEN = ProviderStreamError("broken", provider="scripted")


async def louder(stream: AsyncIterator[Sequence[ModelPart]], call: ModelCall) -> AsyncIterator[Sequence[ModelPart]]:
    async for parts in stream:
        yield [TextDelta(part.id, part.delta.upper()) if isinstance(part, TextDelta) else part for part in parts]


async def test_call_and_stream_of_a_model_are_changed():
    model = ScriptedModel(saying("Hi"))

    async def cooler(call: ModelCall) -> ModelCall:
        return msgspec.structs.replace(call, temperature=0)

    wrapped = wrap_model(model, transform_call=cooler, wrap_stream=louder, model_id="loud")
    event = await generate_text(wrapped, prompt="Hi", temperature=1)
    assert (event.text, model.calls[0].temperature, event.steps[0].model_id) == ("HI", 0, "loud")
    assert wrapped.provider == "scripted"


async def test_leaving_a_wrapped_stream_closes_the_model():
    model = ScriptedModel(saying("One", "Two"))
    stream = stream_text(wrap_model(model, wrap_stream=louder), prompt="Hi").text_stream
    assert await anext(stream) == "ONE"
    await stream.aclose()
    assert model.open_count == 0


async def test_call_that_is_none_is_one_sentence():
    wrapped = wrap_model(ScriptedModel(saying("Hi")), transform_call=lambda call: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(ConfigurationError, match="transform_call must return a ModelCall, not None"):
        await generate_text(wrapped, prompt="Hi")


async def test_defaults_hold_where_a_call_says_nothing():
    model = ScriptedModel(saying("Hi"))
    options = {"anthropic": {"effort": "low", "a": 1}}
    quiet = with_defaults(
        model, temperature=0.2, max_output_tokens=50, provider_options=options, headers={"x": "1", "y": "1"}
    )
    await generate_text(quiet, prompt="Hi")
    await generate_text(
        quiet, prompt="Hi", temperature=0, provider_options={"anthropic": {"a": 2}, "b": {}}, headers={"y": "2"}
    )
    first, second = model.calls
    assert (first.temperature, first.max_output_tokens, first.headers) == (0.2, 50, {"x": "1", "y": "1"})
    assert (second.temperature, second.max_output_tokens, second.headers) == (0, 50, {"x": "1", "y": "2"})
    assert second.provider_options == {"anthropic": {"effort": "low", "a": 2}, "b": {}}


async def test_next_model_answers_where_one_fails_before_its_first_part():
    heard: list[Any] = []
    first, second = ScriptedModel([BROKEN]), ScriptedModel(saying("Hi"), model_id="second")
    model = fallback(first, second, on_fallback=lambda error, following: heard.append((error, following)))
    assert (await generate_text(model, prompt="Hi")).text == "Hi"
    assert heard == [(BROKEN, second)]
    assert first.open_count == second.open_count == 0


async def test_last_error_is_raised_when_all_fail():
    last = ProviderStatusError("down", provider="scripted", status=529)
    with pytest.raises(ProviderStatusError, match="down"):
        await generate_text(fallback(ScriptedModel([BROKEN]), ScriptedModel([last])), prompt="Hi")


async def test_answer_that_has_begun_goes_to_no_other_model():
    second = ScriptedModel(saying("Two"))
    answer = stream_text(fallback(ScriptedModel([*saying("One")[:-1], BROKEN]), second), prompt="Hi")
    with pytest.raises(ProviderStreamError, match="broken"):
        await answer.text
    assert second.calls == []


async def test_wrong_request_goes_to_no_other_model():
    second = ScriptedModel(saying("Two"))
    model = fallback(ScriptedModel([RequestError("no", path="messages")]), second)
    with pytest.raises(RequestError):
        await generate_text(model, prompt="Hi")
    assert second.calls == []


WRAPS: list[Callable[[Model], Model]] = [itself, wrap_model, cooled, fallback]


@pytest.mark.parametrize("wrap", WRAPS)
async def test_tokens_are_counted_by_the_provider(wrap: Any):
    reply = Reply(body=b'{"input_tokens": 42}', content_type="application/json")
    async with ReplayServer(reply) as server:
        model = wrap(anthropic("claude-sonnet-4-6", base_url=server.url, api_key="none"))
        assert await count_tokens(model, prompt="Hi", system="Be brief.", tools=[look]) == 42
        request = server.requests[0]
    assert request.path.endswith("/v1/messages/count_tokens")
    assert set(request.json) == {"model", "messages", "system", "tools", "tool_choice"}


def look(where: str) -> str:
    """Look."""
    return where


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=401), ProviderStatusError),
        (Reply(body=b"[]", content_type="application/json"), ProviderStreamError),
    ],
)
async def test_count_that_the_provider_refuses_is_a_provider_error(reply: Reply, error: type[Exception]):
    async with ReplayServer(reply) as server:
        model = anthropic("claude-sonnet-4-6", base_url=server.url, api_key="none", max_retries=0)
        with pytest.raises(error):
            await count_tokens(model, prompt="Hi")


@pytest.mark.parametrize("wrap", WRAPS[:2])
async def test_model_that_cannot_count_says_so(wrap: Any):
    with pytest.raises(ConfigurationError, match="the model scripted of scripted cannot count tokens"):
        await count_tokens(wrap(ScriptedModel(saying("Hi"))), prompt="Hi")


def test_wrong_arguments_are_one_sentence():
    model: Model = ScriptedModel(saying("Hi"))
    for make, why in (
        (lambda: wrap_model("claude"), "wrap_model takes a model, not its name"),  # type: ignore[arg-type]
        (lambda: wrap_model(model, transform_call=3), "transform_call must be a function"),  # type: ignore[arg-type]
        (fallback, "fallback takes models"),
        (lambda: fallback(model, "claude"), "fallback takes a model, not its name"),  # type: ignore[arg-type]
        (lambda: with_defaults(model, temprature=1), "with_defaults has no setting 'temprature'"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            make()


def test_limits_and_checks_of_the_model_within_hold():
    class Careful(ScriptedModel):
        timeout = None

        def check_messages(self, messages: Any) -> None:
            raise RequestError("no", path="messages")

    with pytest.raises(RequestError):
        stream_text(wrap_model(Careful(saying("Hi"))), prompt="Hi").prepare()
