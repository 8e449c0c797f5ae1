"""Log lines of the server: one record a line, with the ids of the request, as text or as JSON.

What a client sends is part of some messages (a chat's id, an error's words). So control characters are escaped, and no
record can look like two.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from types import TracebackType
from typing import Any, Final, TypeAlias

from usechat.errors import AnswerFailedError, ChatError, RunError, UsechatError
from usechat.guard import describe_outage
from usechat.server.access.asking import asking
from usechat.server.settings import Settings

__all__ = ["CutFilter", "JsonFormatter", "LineFormatter", "RequestFilter", "log_config"]

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Line ends, what moves a terminal's cursor, and what turns the direction of a text."""
LINE: Final = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"
IDS: Final = ("request", "chat", "run", "user")


def escape(text: str) -> str:
    """Return a text in one line, with control characters as Python writes them."""
    # Most lines have none; this test is faster than a look at each character.
    return text if text.isprintable() else CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class RequestFilter(logging.Filter):
    """Add the ids of the current request to each record; ``-`` or an empty text where there is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        now = asking.get()
        record.request_id, record.chat_id, record.run_id = now.request, now.chat, now.run
        record.user_id = now.user or "-"
        return True


class CutFilter(logging.Filter):
    """Turn uvicorn's traceback of a response that had to be cut into one line.

    A text stream has no frame for errors: its response raises, and uvicorn closes the connection. When the process
    ends, uvicorn cancels the responses that are left.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        if record.name == "uvicorn.error" and record.exc_info and (why := why_cut(record.exc_info[1])):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.msg, record.args, record.exc_info = "a response was cut: %s", (why,), None
        return True


def why_cut(error: BaseException | None) -> str | None:
    """Return why a response was cut; None for an error that is to be looked into, with its traceback."""
    if isinstance(error, asyncio.CancelledError):
        return "this process ends"
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, UsechatError):
        # Starlette raises it for an error that a handler would refuse, were the response not begun.
        error = error.__cause__
    return describe_outage(error) if isinstance(error, AnswerFailedError | ChatError | RunError) else None


class LineFormatter(logging.Formatter):
    """Write a record as one line, and the lines of its traceback indented."""

    def __init__(self) -> None:
        super().__init__(LINE)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of `logging`
        """Return the line, and the ids that are known at its end."""
        line = super().formatMessage(record)
        ids = [(name, getattr(record, f"{name}_id", "-")) for name in IDS[1:]]
        return escape(line + "".join(f" {name}={value}" for name, value in ids if value != "-"))

    def formatException(self, ei: ExcInfo) -> str:  # noqa: N802 - the name of `logging`
        """Return the traceback; no line of it begins as a record does."""
        return "\n".join(f"  {escape(line)}" for line in super().formatException(ei).split("\n"))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - the name of `logging`
        """Return the stack, in the same way."""
        return "\n".join(f"  {escape(line)}" for line in stack_info.split("\n"))


class JsonFormatter(logging.Formatter):
    """Write a record as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object."""
        written: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in IDS:
            value = getattr(record, f"{name}_id", "-")
            if value != "-":
                written[name] = value
        if record.exc_info:
            written["exception"] = self.formatException(record.exc_info)
        return json.dumps(written)


FORMATTERS: Final = {"line": LineFormatter, "json": JsonFormatter}


def log_config(settings: Settings) -> dict[str, Any]:
    """Return the logging configuration: our lines as the settings say, other packages' from warnings on.

    Other packages log frames, heads and bodies at lower levels, which hold keys and what people write.
    """
    level = settings.log_level.upper()
    others = "WARNING" if level in {"DEBUG", "INFO"} else level
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request": {"()": RequestFilter}, "cut": {"()": CutFilter}},
        "formatters": {"chosen": {"()": FORMATTERS[settings.log_format]}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "chosen", "filters": ["request", "cut"]},
        },
        "root": {"handlers": ["stderr"], "level": others},
        "loggers": {"usechat": {"level": level}, "uvicorn.access": {"level": "INFO"}},
    }
