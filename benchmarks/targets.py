"""What is measured: our server and its peers, each with the command that starts it and the packages it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from benchmarks.bodies import Client
from benchmarks.environments import (
    NODE_4,
    NODE_7,
    PYTHON_PEERS,
    VERCEL_PYTHON,
    Environment,
    node,
    python,
)

__all__ = ["OURS", "QUICK_TARGETS", "ROUTE", "TARGETS", "TOOLS", "Target", "targets_named"]

Kind: TypeAlias = Literal["ours", "peer", "limit"]

_PEERS = Path(__file__).parent / "peers"
_USECHAT = [python(None), "-m", "usechat", "serve", "--host", "127.0.0.1", "--port", "{port}"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A server."""

    name: str
    title: str
    """Its row in the table."""
    kind: Kind
    command: Sequence[str | Path]
    """``{port}`` stands for the port."""
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    environment: Environment | None = None
    """Packages beyond the project's own."""
    client: Client = "ui"
    """Whose bodies it takes."""
    answers_upstream: bool = True
    """Whether it asks an upstream, and so knows other answers than plain text."""


def _uvicorn(module: str, environment: Environment | None = None) -> list[str | Path]:
    options = ["--host", "127.0.0.1", "--port", "{port}", "--no-access-log", "--log-level", "warning"]
    return [python(environment), "-m", "uvicorn", f"benchmarks.peers.{module}:app", *options]


def _node(module: str, environment: Environment) -> Target:
    titles = {
        "ai_sdk_7": "AI SDK 7 on Node (`streamText`, UI message stream)",
        "ai_sdk_4": "AI SDK 4 on Node (data stream)",
        "express_anthropic": "Express + Anthropic SDK, hand-written SSE",
    }
    return Target(
        name=module.removesuffix("_anthropic").replace("_", "-"),
        title=titles[module],
        kind="peer",
        command=[node(environment), _PEERS / f"{module}.mjs"],
        variables={"PEER_MODULES": str(environment.folder), "NODE_ENV": "production"},
        environment=environment,
        client="v4" if module == "ai_sdk_4" else "ui",
    )


def _python(name: str, title: str, kind: Kind, module: str, **variables: str) -> Target:
    return Target(
        name=name,
        title=title,
        kind=kind,
        command=_uvicorn(module),
        variables=variables,
        answers_upstream=module != "asgi_frames",
    )


OURS = Target(
    name="usechat",
    title="**usechat** (`usechat serve`)",
    kind="ours",
    command=_USECHAT,
    # A tool's input is to be streamed, not to be answered by another model call.
    variables={"USECHAT_MAX_STEPS": "1"},
)
ROUTE = _python("usechat-route", "usechat as a library, in a FastAPI route", "ours", "usechat_route")
TOOLS = _python("usechat-tools", "usechat as a library, with five tools", "ours", "usechat_tools")

_HELPER = _python(
    "fastapi-stream",
    "FastAPI route, `messages.stream()` + json.dumps",
    "peer",
    "fastapi_anthropic",
    PEER_STREAM="helper",
)
_CREATE = _python("fastapi-create", "FastAPI route, `create(stream=True)` + json.dumps", "peer", "fastapi_anthropic")
_PYDANTIC_AI = Target(
    name="pydantic-ai",
    title="pydantic-ai adapter",
    kind="peer",
    command=_uvicorn("pydantic_ai_chat", PYTHON_PEERS),
    environment=PYTHON_PEERS,
)
_VERCEL_PYTHON = Target(
    name="vercel-ai-python",
    title="Vercel's Python `ai`",
    kind="peer",
    command=_uvicorn("vercel_ai_chat", VERCEL_PYTHON),
    environment=VERCEL_PYTHON,
)

TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        OURS,
        ROUTE,
        _node("ai_sdk_7", NODE_7),
        _node("ai_sdk_4", NODE_4),
        _node("express_anthropic", NODE_7),
        _PYDANTIC_AI,
        _VERCEL_PYTHON,
        _HELPER,
        _CREATE,
        _python("asgi-frames", "raw ASGI, frames already encoded, no upstream", "limit", "asgi_frames"),
        _python(
            "proxy-aiohttp",
            "raw byte proxy on aiohttp, nothing decoded",
            "limit",
            "byte_proxy",
            PEER_CLIENT="aiohttp",
        ),
        _python("proxy-bare", "raw byte proxy on a bare asyncio protocol", "limit", "byte_proxy"),
        _python(
            "prototype-fastapi",
            "prototype of the design, FastAPI, raw client",
            "limit",
            "prototype",
            PEER_SERVER="fastapi",
        ),
        _python(
            "prototype-aiohttp",
            "prototype of the design, bare ASGI, aiohttp",
            "limit",
            "prototype",
            PEER_CLIENT="aiohttp",
        ),
    )
}
"""The rows of the table, in its order."""

QUICK_TARGETS = ("usechat", "usechat-route", "fastapi-create", "asgi-frames", "proxy-aiohttp")


def targets_named(names: Sequence[str]) -> list[Target]:
    """The targets of these names.

    Raises:
        KeyError: There is none of that name.
    """
    return [TARGETS[name] for name in names]
