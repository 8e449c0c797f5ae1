"""The options of `Chats`, checked where they are given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypedDict, cast

from usechat.chats.history import HistoryMode
from usechat.checks import check_function, check_number, named, refuse_unknown
from usechat.conversations.busy import OnBusy
from usechat.conversations.turn_ends import OnFinish
from usechat.errors import ConfigurationError
from usechat.messages.limits import BodyLimits
from usechat.protocol.dialects import parse_dialect
from usechat.protocol.options import ToolErrors
from usechat.runs.log import RunLog
from usechat.runs.readers import DisconnectPolicy

__all__ = ["ChatsOptions", "check_chats_options"]

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "history": ("client", "server"),
    "on_busy": ("reject", "interrupt", "enqueue"),
    "on_lost": ("end", "continue"),
    "disconnect": ("auto", "cancel", "finish", "grace"),
    "tool_errors": ("masked", "shown"),
}
NUMBERS: Final = {
    "lost_attempts": 1,
    "lost_seconds": 0,
    "grace": 0,
    "lease": 1,
    "keep": 1,
    "keep_bytes": 0,
    "shutdown_timeout": 0,
    "heartbeat": 0,
    "max_body_bytes": 1,
}
FLAGS: Final = ("is_strict", "is_only_process", "is_lasting", "has_one_owner")


class ChatsOptions(TypedDict, total=False):
    """See `usechat.Chats`."""

    redis_url: str | None
    run_log: RunLog | None
    history: HistoryMode
    on_finish: OnFinish | None
    on_busy: OnBusy
    on_lost: Literal["end", "continue"]
    lost_attempts: int
    lost_seconds: float
    disconnect: DisconnectPolicy
    grace: float
    lease: float
    keep: float
    keep_bytes: int
    is_strict: bool
    shutdown_timeout: float
    sdk: str | int | None
    heartbeat: float | None
    tool_errors: ToolErrors
    max_body_bytes: int
    limits: BodyLimits
    is_only_process: bool
    is_lasting: bool
    keep_alive: Callable[[asyncio.Task[Any]], Any] | None
    has_one_owner: bool


def check_chats_options(given: ChatsOptions) -> None:
    """Refuse options that are unknown or wrong.

    Raises:
        ConfigurationError: One is.
    """
    refuse_unknown("Chats", given, ChatsOptions)
    options = cast("Mapping[str, Any]", given)
    for name, choices in CHOICES.items():
        if name in options and options[name] not in choices:
            raise ConfigurationError(f"{name} must be one of {', '.join(choices)}, not {options[name]!r}")
    for name, least in NUMBERS.items():
        if name in options and options[name] is None and name != "heartbeat":
            raise ConfigurationError(f"{name} must be a number, not None")
        check_number(name, options.get(name), least=least)
    for name in FLAGS:
        if not isinstance(options.get(name, False), bool):
            raise ConfigurationError(f"{name} must be True or False, not {named(options[name])}")
    check_function("on_finish", options.get("on_finish"))
    check_function("keep_alive", options.get("keep_alive"))
    if not isinstance(options.get("limits", BodyLimits()), BodyLimits):
        raise ConfigurationError(f"limits must be a BodyLimits, not {named(options['limits'])}")
    if (sdk := options.get("sdk")) is not None:
        parse_dialect(str(sdk))
    _check_log(given)


def _check_log(given: ChatsOptions) -> None:
    has_redis = given.get("redis_url") is not None
    if has_redis and given.get("run_log") is not None:
        raise ConfigurationError("give either redis_url or run_log: both say where running answers are kept")
    if given.get("is_strict") and not has_redis:
        raise ConfigurationError("is_strict shows readers what Redis has: give redis_url, too")
