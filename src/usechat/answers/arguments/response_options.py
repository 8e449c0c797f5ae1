"""The options of `Answer.response`, checked where they are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict, cast

from usechat.checks import check_number, named, refuse_unknown
from usechat.errors import ConfigurationError
from usechat.protocol.dialects import parse_dialect
from usechat.protocol.options import EncoderOptions, ToolErrors, WireFormat

__all__ = ["ResponseOptions", "check_response_options"]


class ResponseOptions(TypedDict, total=False):
    """See `Answer.response`."""

    wire_format: WireFormat | None
    sdk: str | int | None
    message_id: str | Callable[[], str] | bool | None
    headers: Mapping[str, str | None] | None
    heartbeat: float | None
    chat_id: str | None
    send_reasoning: bool
    send_sources: bool
    send_start: bool
    send_finish: bool
    send_usage: bool
    tool_call_streaming: bool
    tool_errors: ToolErrors
    breaks_on_error: bool
    strict: bool
    new_id: Callable[[], str]


def check_response_options(given: ResponseOptions) -> None:
    """Refuse options that are unknown or wrong.

    Raises:
        ConfigurationError: One is.
    """
    refuse_unknown("response", given, ResponseOptions, *EncoderOptions.__struct_fields__)
    options = cast("Mapping[str, Any]", given)
    if (sdk := options.get("sdk")) is not None:
        parse_dialect(str(sdk))
    check_number("heartbeat", options.get("heartbeat"), least=0)
    wire_format = options.get("wire_format")
    if wire_format is not None and wire_format not in WireFormat.__args__:
        raise ConfigurationError(f"wire_format must be one of {', '.join(WireFormat.__args__)}")
    if not isinstance(options.get("headers"), Mapping | None):
        raise ConfigurationError(f"headers must be a mapping, not {named(options['headers'])}")
