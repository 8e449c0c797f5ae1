"""The model for Anthropic's Messages API: open a stream, retry if necessary, and yield its parts.

The ``anthropic`` package authenticates. The raw body of the response is read without the package, because its event
objects cost thirty times as much. `usechat.models.claude.request.request` builds the request, and
`usechat.models.claude.response.events` reads the events. Knows nothing of browsers.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from usechat.apart import work_apart
from usechat.errors import ConfigurationError, ProviderError, ProviderStreamError
from usechat.messages.model import ModelMessage, UserMessage
from usechat.models.base import ModelCall, Timeout
from usechat.models.claude.address import read_base_url, read_key
from usechat.models.claude.client import AnyClient, ClientSettings, Upstream, aclose_client, shared_client
from usechat.models.claude.errors import raise_mapped
from usechat.models.claude.keys import CacheBreakpoints
from usechat.models.claude.names import WireNames
from usechat.models.claude.request.blocks import user_blocks
from usechat.models.claude.request.context import BlockContext
from usechat.models.claude.request.request import AnthropicRequest, build_request
from usechat.models.claude.response.events import AnthropicStream
from usechat.models.claude.source import Opened, Source, headers_of, make_source, read_parts
from usechat.parts import Error, ModelPart

if TYPE_CHECKING:
    from anthropic import AsyncStream

    from usechat.http1 import Response

__all__ = ["AnthropicModel", "anthropic"]

logger = logging.getLogger(__name__)

_HEADERS = {
    # Compressed events would cost CPU to inflate, and would arrive in lumps.
    "accept-encoding": "identity",
    # The API version of the AI SDK. Without this header, the package sends 2026-10-21 from 2.12 on, which refuses
    # temperature, top_p and top_k.
    "anthropic-version": "2023-06-01",
}
_COUNTED = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "mcp_servers", "output_config", "cache_control"}
)
"""The fields of a request that count, and that ``/v1/messages/count_tokens`` takes."""
_CONNECT_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 8.0
_WEB_TOOLS_THAT_RUN_CODE = frozenset(
    {"web_fetch_20260209", "web_fetch_20260318", "web_search_20260209", "web_search_20260318"}
)
_CODE_TOOLS = frozenset({"code_execution_20250522", "code_execution_20250825", "code_execution_20260120"})


def anthropic(
    model_id: str,
    *,
    client: AnyClient | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
    max_retries: int | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: Timeout | None = None,
) -> AnthropicModel:
    """Return a model of Anthropic, or of any server with its Messages API.

        model = anthropic("claude-sonnet-4-6")
        model = anthropic("qwen3", base_url="http://127.0.0.1:11434")

    Args:
        model_id: The name of the model, sent unchanged.
        client: Your own client, for instance an ``AsyncAnthropicBedrock``; you close it. Without one, models share a
            client.
        api_key: The key, instead of ``ANTHROPIC_API_KEY``.
        base_url: The address of the server, instead of ``ANTHROPIC_BASE_URL``; with or without ``/v1`` at its end.
        max_retries: How many times to retry a request that failed before its first byte. The package's default is 2.
        headers: Headers that are sent with each request.
        timeout: The time limits of answers, used when a call sets none. Without `stream_text`, `AnthropicModel.stream`
            enforces only the limit on silence.

    Raises:
        ConfigurationError: ``client`` was given together with ``api_key`` or ``base_url``, or one of these is wrong.
    """
    if client is not None and (api_key is not None or base_url is not None):
        raise ConfigurationError("give anthropic() either client= or api_key= and base_url=, not both")
    return AnthropicModel(
        model_id,
        client=client,
        settings=ClientSettings(read_key(api_key, "api_key"), read_base_url(base_url, "base_url")),
        max_retries=max_retries,
        headers=headers or {},
        timeout=timeout,
    )


class AnthropicModel:
    """A model on the Messages API: a `usechat.models.base.Model`. `anthropic` makes one."""

    provider = "anthropic"
    parts_are_valid = True
    """Whether the loop can skip checking each part. It can, because this package makes the parts."""

    __slots__ = (
        "_client",
        "_headers",
        "_logged",
        "_max_retries",
        "_settings",
        "model_id",
        "timeout",
    )

    def __init__(
        self,
        model_id: str,
        *,
        client: AnyClient | None,
        settings: ClientSettings,
        max_retries: int | None,
        headers: Mapping[str, str],
        timeout: Timeout | None,
    ) -> None:
        self.model_id = model_id
        self.timeout = timeout
        """The time limits of answers, used when a call sets none."""
        self._client = client
        self._settings = settings
        self._max_retries = max_retries
        self._headers = headers
        self._logged: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"anthropic({self.model_id!r})"

    async def aclose(self) -> None:
        """Close the shared connections of this model on the running event loop. Your own client stays open."""
        await aclose_client(self._settings)

    def check_messages(self, messages: Sequence[ModelMessage]) -> None:
        """Check the last message before it is saved or sent.

        Raises:
            RequestError: The message has a file that Anthropic does not accept.
        """
        if messages and isinstance(messages[-1], UserMessage):
            user_blocks(messages[-1], BlockContext(cache=CacheBreakpoints()))

    async def count_tokens(self, call: ModelCall) -> int:
        """Return how many input tokens a call would have, as the provider counts them; nothing is generated.

        Raises:
            ProviderError: The provider refused, or cannot be reached.
            RequestError: The messages cannot be converted for the provider.
        """
        names = WireNames.needed_for(call)
        request = await work_apart(partial(build_request, call if names is None else names.write(call), self.model_id))
        upstream = Upstream(self._client) if self._client is not None else await shared_client(self._settings)
        retries = _first_given(call.max_retries, self._max_retries, upstream.client.max_retries)
        body = {name: value for name, value in request.body.items() if name in _COUNTED}
        options: Any = {"headers": self._merged_headers(call, request), "max_retries": retries}
        try:
            counted: Any = await upstream.client.post(
                "/v1/messages/count_tokens", cast_to=object, body=body, options=options
            )
        except Exception as error:
            raise_mapped(error)
            raise
        tokens = cast("dict[str, Any]", counted).get("input_tokens") if isinstance(counted, dict) else None
        if not isinstance(tokens, int):
            raise ProviderStreamError("the answer holds no count of tokens", provider="anthropic", code="no_count")
        return tokens

    def stream(self, call: ModelCall) -> AsyncGenerator[list[ModelPart]]:
        """Run one call; see `usechat.models.base.Model.stream`.

        Raises:
            ConfigurationError: There is no key.
            ProviderStatusError: The provider answered with an error status, also after the retries.
            ProviderConnectionError: The provider cannot be reached.
            ProviderStreamError: The stream failed before the first part.
            RequestError: The messages cannot be converted for the provider.
        """
        names = WireNames.needed_for(call)
        if names is None:
            return read_parts(partial(self._begin, call))
        return names.read(read_parts(partial(self._begin, names.write(call))))

    async def _begin(self, call: ModelCall) -> Opened:
        """Open the stream and return it with its first parts, and release the request, which holds the whole chat.

        While this waits for the provider, it keeps the request as text if possible: a long chat is many objects, which
        the garbage collector would traverse again and again.
        """
        request = await work_apart(partial(build_request, call, self.model_id))
        self._log(request.warnings)
        upstream = Upstream(self._client) if self._client is not None else await shared_client(self._settings)
        retries = _first_given(call.max_retries, self._max_retries, upstream.client.max_retries)
        timeout = Timeout.resolve(call.timeout, self.timeout)
        attempt = _Attempt(upstream, _body(request, upstream), self._merged_headers(call, request), _silence(timeout))
        new_stream = _stream_maker(request)
        del request
        now = asyncio.get_running_loop().time
        deadline = now() + min(limit for limit in (timeout.total, timeout.step, timeout.first_chunk) if limit)
        retry = 0
        while True:
            try:
                return await _read_first(*await _open(attempt, new_stream, retry))
            except ProviderError as error:
                pause = error.retry_after or _pause(retry)
                # A pause past the deadline would end in a timeout, so the provider's error is raised now.
                if retry >= retries or not error.is_retryable or now() + pause > deadline:
                    raise
            await asyncio.sleep(pause)
            retry += 1

    def _log(self, warnings: Iterable[str]) -> None:
        for warning in warnings:
            if warning not in self._logged:
                self._logged[warning] = None
                logger.warning("%s: %s", self.model_id, warning)

    def _merged_headers(self, call: ModelCall, request: AnthropicRequest) -> dict[str, str]:
        headers = {**_HEADERS, **_lower(self._headers), **_lower(call.headers or {})}
        betas = dict.fromkeys([*request.betas, *_listed(self._headers), *_listed(call.headers or {})])
        if betas:
            headers["anthropic-beta"] = ",".join(betas)
        return headers


class _Attempt(NamedTuple):
    """The data that each try of a call sends."""

    upstream: Upstream
    body: bytes | dict[str, Any]
    headers: Mapping[str, str]
    silence: float | None
    """Seconds of silence after which a try fails."""


def _silence(timeout: Timeout) -> float | None:
    longest = max(timeout.first_chunk or math.inf, timeout.chunk or math.inf)
    return None if math.isinf(longest) else longest


def _body(request: AnthropicRequest, upstream: Upstream) -> bytes | dict[str, Any]:
    # Clients for other clouds, and hooks of the caller's client, read the body as an object.
    return request.content if upstream.pool is not None and request.content is not None else request.body


def _stream_maker(request: AnthropicRequest) -> Callable[[], AnthropicStream]:
    return partial(
        AnthropicStream,
        citation_documents=request.citation_documents,
        uses_json_tool=request.uses_json_tool,
        tool_names=request.tool_names,
        dynamic_code_execution=_may_run_code(request.body),
        warnings=request.warnings,
    )


async def _open(
    attempt: _Attempt, new_stream: Callable[[], AnthropicStream], retry: int
) -> tuple[Source, AnthropicStream]:
    stream = new_stream()
    try:
        opened = await _send(attempt, retry)
        stream.headers = headers_of(opened)
        return make_source(opened, stream), stream
    except Exception as error:
        raise_mapped(error)
        raise


async def _send(attempt: _Attempt, retry: int) -> Response | AsyncStream[object]:
    upstream, body = attempt.upstream, attempt.body
    if upstream.pool is None or not isinstance(body, bytes):
        return await _send_by_package(attempt, body)
    from usechat.http1 import Limits
    from usechat.models.claude.direct import send_directly

    # The package sends the number of earlier tries with each request.
    headers = {"x-stainless-retry-count": str(retry), **attempt.headers}
    limits = Limits(_CONNECT_SECONDS, attempt.silence, attempt.silence)
    response = await send_directly(upstream.client, upstream.pool, body, headers, limits)
    return await _send_by_package(attempt, body) if response is None else response


async def _send_by_package(attempt: _Attempt, body: bytes | dict[str, Any]) -> AsyncStream[object]:
    import anthropic

    client = attempt.upstream.client
    what: Any = {"content": body} if isinstance(body, bytes) else {"body": body}
    send = partial(
        client.post, "/v1/messages", cast_to=object, stream=True, stream_cls=anthropic.AsyncStream[object], **what
    )
    try:
        return await send(options={"headers": attempt.headers, "max_retries": 0})
    except anthropic.AuthenticationError:
        if client.custom_auth is None:
            raise
    # The server refused a token that the package had obtained. The package obtains a new one only for its own retry.
    return await send(options={"headers": attempt.headers, "max_retries": 1})


async def _read_first(source: Source, stream: AnthropicStream) -> Opened:
    """Return the stream with its first parts, which are empty if the stream ends at once.

    Raises:
        ProviderError: The stream failed before the first part.
    """
    try:
        parts = await source.read()
        while parts is not None and not parts:
            parts = await source.read()
        _check_first(parts, stream)
    except BaseException:
        await source.aclose()
        raise
    return Opened(source, stream, parts or [])


def _check_first(parts: list[ModelPart] | None, stream: AnthropicStream) -> None:
    if parts is None and stream.event_count == 0:
        raise ProviderStreamError("the answer holds no events", provider="anthropic", code="no_events")
    first = parts[0] if parts else None
    if isinstance(first, Error) and isinstance(first.error, ProviderError):
        raise first.error


def _may_run_code(body: Mapping[str, Any]) -> bool:
    types = {tool.get("type") for tool in body.get("tools") or ()}
    return not types.isdisjoint(_WEB_TOOLS_THAT_RUN_CODE) and types.isdisjoint(_CODE_TOOLS)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _listed(headers: Mapping[str, str]) -> list[str]:
    names = _lower(headers).get("anthropic-beta", "").split(",")
    return [name.strip() for name in names if name.strip()]


def _first_given(*values: int | None) -> int:
    return next(value for value in values if value is not None)


def _pause(retry: int) -> float:
    jitter = random.uniform(0.75, 1.0)  # noqa: S311 - it spreads the retries of many clients, and is not a secret
    return min(_FIRST_PAUSE_SECONDS * 2**retry, _LONGEST_PAUSE_SECONDS) * jitter
