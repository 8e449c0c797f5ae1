"""`cached`: answers that were made before, told again without asking the provider.

Upstream: the AI SDK has no cache of its own; its documents build one as a middleware (``wrapStream``).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any, Protocol, cast, get_args

import msgspec

from usechat.checks import check_model, named
from usechat.errors import ConfigurationError
from usechat.json import decode_json, encode_json
from usechat.models.base import Model, ModelCall
from usechat.models.wrap import ModelOfModel, close
from usechat.parts import Error, ModelFinish, ModelPart

__all__ = ["AnswerStore", "MemoryAnswers", "cached"]

logger = logging.getLogger(__name__)

STORE_SECONDS = 2.0
"""Seconds that a call waits for its store. The provider is asked then."""
WHOLE = frozenset({"stop", "tool-calls", "length"})
"""Finish reasons of answers that would come again."""
OF_A_TRACE = frozenset({"traceparent", "tracestate", "baggage"})
PARTS: Mapping[str, Any] = {part.__name__: part for part in get_args(ModelPart)}
OF_A_TRY: Mapping[str, Any] = {"timeout": None, "max_retries": None}


class AnswerStore(Protocol):
    """Keeps answers under keys. A client of ``redis.asyncio`` is one as it is.

    Implemented by: `usechat.models.cache.MemoryAnswers`.
    """

    async def get(self, key: str, /) -> bytes | None:
        """Return what is kept under a key, or None."""
        ...

    async def set(self, key: str, value: bytes, /) -> object:
        """Keep a value under a key."""
        ...


class MemoryAnswers:
    """An `AnswerStore` in this process.

    Args:
        max_bytes: How much is kept. What was used longest ago goes first.
    """

    def __init__(self, max_bytes: int = 64 * 2**20) -> None:
        self.max_bytes = max_bytes
        self.size = 0
        self.kept: OrderedDict[str, bytes] = OrderedDict()

    async def get(self, key: str, /) -> bytes | None:
        """Return what is kept under a key, or None."""
        if key in self.kept:
            self.kept.move_to_end(key)
        return self.kept.get(key)

    async def set(self, key: str, value: bytes, /) -> None:
        """Keep a value under a key, and forget old ones for it."""
        self.size += len(value) - len(self.kept.pop(key, b""))
        self.kept[key] = value
        while self.size > self.max_bytes:
            self.size -= len(self.kept.popitem(last=False)[1])


def cached(model: Model, store: AnswerStore | None = None) -> Model:
    """Return a model that asks another one only what it was never asked.

        model = cached(anthropic("claude-sonnet-4-6"))

    The same call (model, messages, system prompt, tools, settings) gets the same stream again, whoever asks: batch by
    batch, without the waiting, with the usage of the first time. Only whole answers are kept. An answer that fails, is
    stopped or is cut is asked for again. If the store fails or is silent for two seconds, the model is asked.

    Args:
        model: The model within.
        store: Where answers are kept: `MemoryAnswers` by default, or a client of ``redis.asyncio``.

    Raises:
        ConfigurationError: An argument is of a wrong kind.
    """
    check_model("cached", model)
    for name in ("get", "set"):
        if store is not None and not callable(getattr(store, name, None)):
            raise ConfigurationError(f"the store of cached must have async get and set, which {named(store)} has not")
    return CachedModel(model, MemoryAnswers() if store is None else store)


class CachedModel(ModelOfModel):
    """A `usechat.models.base.Model`; `cached` makes it."""

    def __init__(self, model: Model, store: AnswerStore) -> None:
        super().__init__(model)
        self.store = store
        # What a store has may have come from anywhere.
        self.parts_are_valid = False

    async def stream(self, call: ModelCall) -> AsyncGenerator[Sequence[ModelPart]]:
        """Run one call; see `usechat.models.base.Model.stream`.

        Raises:
            ProviderError: The provider failed before the first part.
        """
        key = key_of(self.model, call)
        known = await self._find(key)
        if known is not None:
            for batch in known:
                yield batch
            return
        batches: list[Sequence[ModelPart]] = []
        stream = self.model.stream(call)
        try:
            async for batch in stream:
                batches.append(list(batch))
                yield batch
        finally:
            await close(cast("AsyncIterator[Any]", stream))
        if is_whole(batches):
            await self._keep(key, batches)

    async def _find(self, key: str) -> list[list[ModelPart]] | None:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                value = await self.store.get(key)
            return None if value is None else decode_batches(value)
        except Exception:
            logger.exception("the cache cannot be read; the model is asked")
            return None

    async def _keep(self, key: str, batches: Sequence[Sequence[ModelPart]]) -> None:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                await self.store.set(key, encode_batches(batches))
        except Exception:
            logger.exception("an answer could not be kept in the cache")


def key_of(model: Model, call: ModelCall) -> str:
    headers = {name: value for name, value in (call.headers or {}).items() if name.lower() not in OF_A_TRACE}
    asked = msgspec.structs.replace(call, headers=headers, **OF_A_TRY)
    # A struct's repr names its class, which its JSON does not: a user may say what an assistant has said.
    text = repr((model.provider, model.model_id, asked))
    return f"usechat-answer-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def is_whole(batches: Sequence[Sequence[ModelPart]]) -> bool:
    parts = [part for batch in batches for part in batch]
    end = parts[-1] if parts else None
    if not isinstance(end, ModelFinish) or not end.is_complete or end.finish_reason.unified not in WHOLE:
        return False
    return not any(isinstance(part, Error) for part in parts)


def encode_batches(batches: Sequence[Sequence[ModelPart]]) -> bytes:
    return encode_json([[[type(part).__name__, msgspec.to_builtins(bare(part))] for part in each] for each in batches])


def bare(part: ModelPart) -> ModelPart:
    # How much of a rate limit was left then says nothing now.
    return msgspec.structs.replace(part, headers=()) if isinstance(part, ModelFinish) else part


def decode_batches(value: bytes) -> list[list[ModelPart]]:
    batches: Any = decode_json(value)
    return [[msgspec.convert(fields, PARTS[name]) for name, fields in each] for each in batches]
