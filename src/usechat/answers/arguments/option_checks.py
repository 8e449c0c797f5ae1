"""Checks the options of `stream_text` where they are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from usechat.answers.loop.steering import Steering
from usechat.answers.objects.output import Output
from usechat.answers.smooth import smooth_stream
from usechat.checks import check_function, check_number, check_texts, named
from usechat.errors import ConfigurationError
from usechat.tools.approvals import process_secret
from usechat.tools.tool import NeedsApproval, Tool, ToolApproval
from usechat.tools.used_approvals import UsedApprovals, process_used_approvals

__all__ = ["check_options", "read_approval_policy", "read_secret", "read_used_approvals"]


def read_secret(secret: Any) -> str | None:
    """Return the secret that signs approvals; None where False turns signing off.

    Raises:
        ConfigurationError: It is empty, or neither a text nor a bool.
    """
    if secret == "":
        raise ConfigurationError("approval_secret is empty: give a secret, True for one of this process, or False")
    # None is what a variable that is not set gives. It must not turn signing off.
    if secret is True or secret is None:
        return process_secret()
    if secret is False:
        return None
    if not isinstance(secret, str):
        raise ConfigurationError(f"approval_secret must be a text, True or False, not {named(secret)}")
    return secret


def read_used_approvals(used: Any) -> UsedApprovals | None:
    """Return the memory of used approvals; None where False turns it off.

    Raises:
        ConfigurationError: It has no ``claim``.
    """
    if used is True or used is None:
        return process_used_approvals()
    if used is False:
        return None
    if not callable(getattr(used, "claim", None)):
        raise ConfigurationError(f"used_approvals must be True, False or an object with claim(), not {named(used)}")
    return used


def read_approval_policy(policy: ToolApproval | None, tools: Mapping[str, Tool]) -> ToolApproval | None:
    """Return the policy.

    Raises:
        ConfigurationError: It is no policy, or has a decision for a tool that is not there.
    """
    if not isinstance(policy, Mapping):
        check_function("tool_approval", policy, "a function of the input and the context, or a mapping of tools' names")
        return policy
    unknown = [name for name in cast("Mapping[str, Any]", policy) if name not in tools]
    if unknown:
        raise ConfigurationError(f"tool_approval names {unknown[0]!r}, and there is no such tool")
    return cast("Mapping[str, NeedsApproval]", policy)


def check_options(**given: Any) -> None:
    """Refuse options of a wrong kind.

    Raises:
        ConfigurationError: One is wrong.
    """
    for name in ("stop_sequences", "active_tools"):
        check_texts(name, given[name])
    for name in ("prepare_step", "repair_tool_call", "convert_data_part"):
        check_function(name, given[name])
    if not isinstance(given["continue_paused"], bool):
        raise ConfigurationError(f"continue_paused must be True or False, not {named(given['continue_paused'])}")
    check_number("stream_retries", given["stream_retries"], least=0)
    check_number("tool_call_concurrency", given["tool_call_concurrency"], least=1)
    if given["steering"] is not None and not isinstance(given["steering"], Steering):
        raise ConfigurationError(f"steering must be a Steering, not {named(given['steering'])}")
    if not isinstance(given["message_metadata"], bool):
        check_function("message_metadata", given["message_metadata"], "a function or True")
    if given["transform"] is smooth_stream:
        raise ConfigurationError("transform must be smooth_stream(), with the parentheses")
    if not isinstance(given["output"], Output | None):
        raise ConfigurationError(
            f"output must be an Output such as Output.object(Recipe), not {named(given['output'])}"
        )
    check_function("transform", given["transform"], "one function, such as smooth_stream()")
