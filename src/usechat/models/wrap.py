"""Models made of models: `wrap_model`, `with_defaults`, `fallback`. Knows no provider.

Upstream: ``wrapLanguageModel`` and ``defaultSettingsMiddleware`` (``ai/src/middleware``, 7.0.173).
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import msgspec

from usechat.checks import check_function, check_model, named
from usechat.errors import ConfigurationError, ProviderError
from usechat.messages.model import ModelMessage
from usechat.models.base import Model, ModelCall
from usechat.parts import ModelPart

__all__ = ["TransformCall", "WrapStream", "fallback", "with_defaults", "wrap_model"]

logger = logging.getLogger(__name__)

TransformCall: TypeAlias = Callable[[ModelCall], "ModelCall | Awaitable[ModelCall]"]
"""Gets a call and returns the one to make in its place: ``msgspec.structs.replace(call, temperature=0)``."""
WrapStream: TypeAlias = Callable[[AsyncIterator[Sequence[ModelPart]], ModelCall], AsyncIterator[Sequence[ModelPart]]]
"""Gets the stream of a call and the call, and returns the stream to use: an async generator that yields batches."""


def wrap_model(
    model: Model,
    *,
    transform_call: TransformCall | None = None,
    wrap_stream: WrapStream | None = None,
    model_id: str | None = None,
) -> Model:
    """Return a model that changes the calls of another one, or its streams.

        async def log(stream, call):
            async for parts in stream:
                print(len(parts), "parts")
                yield parts

        model = wrap_model(anthropic("claude-sonnet-4-6"), wrap_stream=log)

    Args:
        model: The model within.
        transform_call: Changes each call; may be async.
        wrap_stream: Changes each stream, whose last part is a `ModelFinish`. The loop checks what it yields.
        model_id: The name of the model; that of the one within without it.

    Raises:
        ConfigurationError: An argument is of a wrong kind.
    """
    check_model("wrap_model", model)
    check_function("transform_call", transform_call)
    check_function("wrap_stream", wrap_stream)
    return WrappedModel(model, transform_call, wrap_stream, model_id)


def with_defaults(model: Model, **settings: Any) -> Model:
    """Return a model with settings for calls that have none of their own.

        model = with_defaults(anthropic("claude-sonnet-4-6"), temperature=0, max_output_tokens=500, reasoning="low")

    Args:
        model: The model within.
        **settings: Fields of `ModelCall`. ``headers`` and the options of each provider are merged with the call's.

    Raises:
        ConfigurationError: A setting is unknown.
    """
    known = set(ModelCall.__struct_fields__) - {"messages", "tools", "response_format"}
    for name in settings:
        if name not in known:
            raise ConfigurationError(f"with_defaults has no setting {name!r}")
    ModelCall(messages=(), **settings)

    def transform_call(call: ModelCall) -> ModelCall:
        changed = {name: value for name, value in settings.items() if getattr(call, name) in (None, ())}
        if call.headers and settings.get("headers"):
            changed["headers"] = {**settings["headers"], **call.headers}
        if call.provider_options and settings.get("provider_options"):
            changed["provider_options"] = merge_options(settings["provider_options"], call.provider_options)
        return msgspec.structs.replace(call, **changed)

    return wrap_model(model, transform_call=transform_call)


def fallback(*models: Model, on_fallback: Callable[[ProviderError, Model], Any] | None = None) -> Model:
    """Return a model that asks the next one where one fails before its first part.

        model = fallback(anthropic("claude-opus-4-6"), anthropic("claude-sonnet-4-6"))

    Each model retries by itself first. What fails after its first part has been seen, and is not asked again.

    Args:
        *models: The models, the first choice first.
        on_fallback: Called with the error and the model that is asked next.

    Raises:
        ConfigurationError: There is no model, or one is none.
    """
    if not models:
        raise ConfigurationError("fallback takes models, such as fallback(anthropic(…), anthropic(…))")
    for model in models:
        check_model("fallback", model)
    check_function("on_fallback", on_fallback)
    return FallbackModel(models, on_fallback)


class ModelOfModel:
    """The members that a model of models takes from the one within."""

    def __init__(self, model: Model, model_id: str | None = None) -> None:
        self.model = model
        self.provider = model.provider
        self.model_id = model_id or model.model_id
        self.timeout: Any = getattr(model, "timeout", None)

    def check_messages(self, messages: Sequence[ModelMessage]) -> None:
        """Refuse messages that the model within refuses.

        Raises:
            RequestError: It cannot take them.
        """
        check: Callable[[Sequence[ModelMessage]], None] | None = getattr(self.model, "check_messages", None)
        if check is not None:
            check(messages)

    async def count_tokens(self, call: ModelCall) -> int:
        """Return the input tokens of a call, as the model within counts them.

        Raises:
            ConfigurationError: It cannot count.
        """
        count: Callable[[ModelCall], Awaitable[int]] | None = getattr(self.model, "count_tokens", None)
        if count is None:
            raise ConfigurationError(f"the model {self.model_id} of {self.provider} cannot count tokens")
        return await count(call)


class WrappedModel(ModelOfModel):
    """A `usechat.models.base.Model`; `wrap_model` makes it."""

    def __init__(
        self,
        model: Model,
        transform_call: TransformCall | None,
        wrap_stream: WrapStream | None,
        model_id: str | None,
    ) -> None:
        super().__init__(model, model_id)
        self.transform_call = transform_call
        self.wrap_stream = wrap_stream
        self.parts_are_valid = wrap_stream is None and bool(getattr(model, "parts_are_valid", False))

    async def stream(self, call: ModelCall) -> AsyncGenerator[Sequence[ModelPart]]:
        """Run one call; see `usechat.models.base.Model.stream`.

        Raises:
            ConfigurationError: ``transform_call`` returned no `ModelCall`.
            ProviderError: The provider failed before the first part.
        """
        if self.transform_call is not None:
            changed: Any = self.transform_call(call)
            call = await changed if inspect.isawaitable(changed) else changed
            if not isinstance(cast("Any", call), ModelCall):
                raise ConfigurationError(f"transform_call must return a ModelCall, not {named(call)}")
        inner = self.model.stream(call)
        stream = inner if self.wrap_stream is None else self.wrap_stream(inner, call)
        try:
            async for batch in stream:
                yield batch
        finally:
            for each in dict.fromkeys((stream, inner)):
                await close(each)


class FallbackModel(ModelOfModel):
    """A `usechat.models.base.Model`; `fallback` makes it."""

    def __init__(self, models: Sequence[Model], on_fallback: Callable[[ProviderError, Model], Any] | None) -> None:
        super().__init__(models[0])
        self.models = models
        self.on_fallback = on_fallback
        self.parts_are_valid = all(getattr(model, "parts_are_valid", False) for model in models)

    async def stream(self, call: ModelCall) -> AsyncGenerator[Sequence[ModelPart]]:
        """Run one call; see `usechat.models.base.Model.stream`.

        Raises:
            ProviderError: The last provider failed before the first part.
        """
        for model, following in zip(self.models, (*self.models[1:], None), strict=True):
            stream = model.stream(call)
            has_begun = False
            try:
                async for batch in stream:
                    has_begun = has_begun or bool(batch)
                    yield batch
            except ProviderError as error:
                if has_begun or following is None:
                    raise
                logger.warning("%s failed, %s is asked: %s", model.model_id, following.model_id, error)
                await tell(self.on_fallback, error, following)
            else:
                return
            finally:
                await close(stream)


async def tell(function: Callable[[ProviderError, Model], Any] | None, error: ProviderError, model: Model) -> None:
    told: Any = None if function is None else function(error, model)
    if inspect.isawaitable(told):
        await told


async def close(stream: Any) -> None:
    aclose = getattr(stream, "aclose", None)
    if aclose is not None:
        await aclose()


def merge_options(
    defaults: Mapping[str, Mapping[str, Any]], given: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Mapping[str, Any]]:
    return {name: {**defaults.get(name, {}), **given.get(name, {})} for name in (*defaults, *given)}
