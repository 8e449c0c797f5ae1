"""An Anthropic-compatible endpoint on loopback that answers with the demo's script.

``POST /v1/messages`` with an API key, streaming only, at the pace of a real model or at once. It runs on a thread and
an event loop of its own, so that it serves whichever loop asks and ends with the process. `usechat.models.demo_model`
stands on it; tests of other backends may use it as an upstream, too. Imports nothing of usechat but the script.
"""

from __future__ import annotations

import asyncio
import atexit
import hmac
import json
import secrets
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Self, TypeGuard, cast

from aiohttp import web

from usechat.testing.demo_events import answer_events

__all__ = ["PACE_HEADER", "DemoEndpoint", "demo_endpoint"]

PACE_HEADER = "x-demo-pace"
"""Seconds between two deltas, for one request; without it the endpoint's own pace."""

_PACE = 0.04
_MOST_BYTES = 64 * 1024 * 1024
_START_SECONDS = 10.0
_SLOWEST_PACE = 5.0


class DemoEndpoint:
    """The endpoint. `start` it, or use it as a context manager.

    Args:
        pace: Seconds between two deltas; 0 sends them as fast as they are taken.
        api_key: What clients must send, as ``x-api-key`` or as a bearer token; random when it is not given.
    """

    def __init__(self, *, pace: float = _PACE, api_key: str | None = None) -> None:
        self.api_key = api_key or secrets.token_urlsafe()
        self.pace = pace
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._base_url = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._open_answers = 0
        self._idle = threading.Condition()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> tuple[str, str]:
        """Listen, unless it does already, and give the base URL and the API key. Takes a few milliseconds."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                ready: Future[str] = Future()
                self._thread = threading.Thread(
                    target=lambda: asyncio.run(self._serve(ready)), name="usechat-demo", daemon=True
                )
                self._thread.start()
                self._base_url = ready.result(_START_SECONDS)
                atexit.register(self.stop)
            return self._base_url, self.api_key

    def stop(self) -> None:
        """Hang up on all clients and end the thread."""
        with self._lock:
            thread, self._thread = self._thread, None
        atexit.unregister(self.stop)
        if thread is not None and thread.is_alive() and self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            thread.join()

    @property
    def open_answers(self) -> int:
        """How many answers are being streamed now."""
        return self._open_answers

    def wait_until_idle(self, seconds: float = 5.0) -> bool:
        """Wait until no answer is being streamed; False when one still is after so many seconds."""
        with self._idle:
            return self._idle.wait_for(lambda: self._open_answers == 0, seconds)

    def _count(self, change: int) -> None:
        with self._idle:
            self._open_answers += change
            self._idle.notify_all()

    async def _serve(self, ready: Future[str]) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        application = web.Application(client_max_size=_MOST_BYTES)
        application.router.add_post("/v1/messages", self._answer)
        # handler_cancellation: a client that leaves ends the answer, as it does at the real service.
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0)
        try:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            ready.set_result("http://{}:{}".format(*runner.addresses[0][:2]))
            await self._stopping.wait()
        except OSError as error:
            ready.set_exception(error)
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if not hmac.compare_digest(_given_key(request).encode(), self.api_key.encode()):
            return _refuse(401, "authentication_error", "invalid API key")
        try:
            body = json.loads(await request.read())
        except (ValueError, UnicodeDecodeError):
            return _refuse(400, "invalid_request_error", "The request body is not valid JSON.")
        if not _is_object(body) or not _is_list_of_objects(body.get("messages")) or not body["messages"]:
            return _refuse(400, "invalid_request_error", "messages: a list of at least one message is required")
        if body.get("stream") is not True:
            return _refuse(400, "invalid_request_error", "stream: this endpoint only streams")
        self._count(1)
        try:
            return await _stream(request, body, _pace(request, self.pace))
        finally:
            self._count(-1)


async def _stream(request: web.Request, body: Mapping[str, Any], pace: float) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for event in answer_events(body):
        if event["type"] == "content_block_delta" and pace > 0:
            await asyncio.sleep(pace)
        await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    await response.write_eof()
    return response


def _given_key(request: web.Request) -> str:
    # The anthropic package sends the one header or the other, depending on its version.
    return request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")


def _pace(request: web.Request, usual: float) -> float:
    try:
        return min(float(request.headers[PACE_HEADER]), _SLOWEST_PACE)
    except (KeyError, ValueError):
        return usual


def _refuse(status: int, error_type: str, message: str) -> web.Response:
    return web.json_response({"type": "error", "error": {"type": error_type, "message": message}}, status=status)


def _is_object(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, dict)


def _is_list_of_objects(value: Any) -> TypeGuard[list[Mapping[str, Any]]]:
    return isinstance(value, list) and all(map(_is_object, cast("list[Any]", value)))


demo_endpoint = DemoEndpoint()
"""The one endpoint of this process, shared by all `demo` models."""
