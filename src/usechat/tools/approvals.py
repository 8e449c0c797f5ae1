"""Approvals: the application's and the user's decisions on tool calls, with signatures.

A request is signed when it is made. The signature is checked when the answer comes, so that a forged, altered or
replayed decision never runs a tool. The signature is the AI SDK's own (``tool-approval-signature.ts`` and
``canonical-hash.ts``, 7.0.173), so a chat can move between a TypeScript backend and this one during an approval.
Clients that keep no signature (before late 6) get it within the approval's id: every client sends the id back
unchanged.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, cast

import msgspec

from usechat.errors import InvalidToolApprovalError, RequestError
from usechat.json import replace_lone_surrogates, write_json
from usechat.messages.model import (
    AssistantMessage,
    ModelMessage,
    ToolApprovalRequestContent,
    ToolApprovalResponseContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
)

__all__ = [
    "Approval",
    "ApprovalStatus",
    "Approve",
    "AskUser",
    "Deny",
    "canonical_json",
    "collect_approvals",
    "process_secret",
    "read_status",
    "sign",
    "sign_request",
    "verify",
]

SIGNED_ID = "."
"""Separator between an approval's id and its signature, in an id that carries one. Our ids do not contain it."""
MAX_DECISIONS = 1000
"""The maximum number of decisions in one request: for each one the signature is checked and the call is searched."""
MAX_EXACT_INTEGER = 2**53
"""The largest exact integer of JavaScript. For a larger one the browser and the AI SDK's hash use the nearest float."""
NOT_OURS = (
    "The approval's signature does not fit its tool call: the client has changed the call, or another secret was used. "
    "Without approval_secret=… (USECHAT_APPROVAL_SECRET) each process has a secret of its own, and a new one after a "
    "restart."
)


class Approve(msgspec.Struct, frozen=True):
    """The call runs without a question. AI SDK 7's client is shown this and the reason."""

    reason: str | None = None


class Deny(msgspec.Struct, frozen=True):
    """The call does not run. The model gets the refusal and the reason."""

    reason: str | None = None


class AskUser(msgspec.Struct, frozen=True):
    """The user decides. AI SDK 7's client gets the reason of the question."""

    reason: str | None = None


ApprovalStatus: TypeAlias = Approve | Deny | AskUser
"""An application's decision on a tool call (``tool-approval-configuration.ts``)."""


def read_status(answer: bool | ApprovalStatus) -> ApprovalStatus | None:
    """Return a tool's ``needs_approval``, or its result, as a status. None: the call runs without approval."""
    if isinstance(answer, ApprovalStatus):
        return answer
    return AskUser() if answer else None


@lru_cache(maxsize=1)
def process_secret() -> str:
    """Return this process's secret, for applications that set none. Other processes have another one."""
    return secrets.token_urlsafe(32)


def canonical_json(value: Any) -> str:
    """Return ``value`` as the AI SDK hashes it: JSON with sorted keys and no spaces, else as ``JSON.stringify``."""
    pieces: list[str] = []
    write_canonical(value, pieces.append)
    return "".join(pieces)


def write_canonical(value: Any, write: Callable[[str], None]) -> None:
    match value:
        case Mapping():
            fields = cast("Mapping[str, Any]", value)
            before = "{"
            # JavaScript compares UTF-16 code units.
            for key in sorted(fields, key=lambda key: key.encode("utf-16-be", "surrogatepass")):
                write(f"{before}{write_json(key)}:")
                write_canonical(fields[key], write)
                before = ","
            write("}" if fields else "{}")
        case list() | tuple():
            items = cast("Sequence[Any]", value)
            before = "["
            for item in items:
                write(before)
                write_canonical(item, write)
                before = ","
            write("]" if items else "[]")
        case int() if abs(value) > MAX_EXACT_INTEGER:
            write(write_json(as_float(value)))
        case _:
            write(write_json(value))


def as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def digest(value: Any) -> str:
    return encode_url(hashlib.sha256(canonical_json(value).encode()).digest())


def encode_url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(secret: str, *, approval_id: str, tool_call_id: str, tool_name: str, input: Any) -> str:
    """Return the signature of an approval request (docs/protocol.md, Approvals): base64url without padding."""
    fields = ["ai-sdk-tool-approval-v1", approval_id, tool_call_id, tool_name, digest(input)]
    return encode_url(hmac.digest(secret.encode(), write_json(fields).encode(), "sha256"))


def verify(secret: str, signature: str, *, approval_id: str, tool_call_id: str, tool_name: str, input: Any) -> bool:
    """Return whether a signature is ours: in the current form, or in the older one with newlines between the fields."""
    fields = {"approval_id": approval_id, "tool_call_id": tool_call_id, "tool_name": tool_name}
    given = signature.encode("utf-8", "replace")
    if hmac.compare_digest(given, sign(secret, **fields, input=input).encode()):
        return True
    # The older form is ambiguous when a field holds a newline.
    if any("\n" in value for value in fields.values()):
        return False
    text = replace_lone_surrogates("\n".join([*fields.values(), digest(input)])).encode()
    return hmac.compare_digest(given, encode_url(hmac.digest(secret.encode(), text, "sha256")).encode())


def sign_request(secret: str, approval_id: str, in_id: bool, **call: Any) -> tuple[str, str | None]:
    """Return the id and the signature to send. With ``in_id``, the signature is part of the id."""
    signature = sign(secret, approval_id=approval_id, **call)
    return (f"{approval_id}{SIGNED_ID}{signature}", None) if in_id else (approval_id, signature)


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A user's decision on a tool call of the history."""

    call: ToolCallContent
    request: ToolApprovalRequestContent
    response: ToolApprovalResponseContent

    @property
    def signed_id(self) -> str:
        """The approval's id without a signature in it: this id was signed."""
        given = self.request.approval_id
        return given if self.request.signature else given.partition(SIGNED_ID)[0]

    def check(self, secret: str) -> None:
        """Check that this server asked for exactly this call.

        Raises:
            InvalidToolApprovalError: The signature is missing or does not fit.
        """
        signature = self.request.signature or self.request.approval_id.partition(SIGNED_ID)[2]
        call = {"tool_call_id": self.call.tool_call_id, "tool_name": self.call.tool_name}
        if not signature:
            raise InvalidToolApprovalError("The approval is not signed.", **call)
        if not verify(secret, signature, approval_id=self.signed_id, input=self.call.input, **call):
            raise InvalidToolApprovalError(NOT_OURS, **call)


def collect_approvals(messages: Sequence[ModelMessage]) -> list[Approval]:
    """Return the open decisions in the last message, in the order of their calls.

    Only the first decision on a call counts: a second one can neither run the call twice nor reverse a refusal.

    Raises:
        InvalidToolApprovalError: A decision has no request.
        RequestError: There are more than `MAX_DECISIONS` decisions.
    """
    last = messages[-1] if messages else None
    if not isinstance(last, ToolMessage):
        return []
    responses = [part for part in last.content if isinstance(part, ToolApprovalResponseContent)]
    if not responses:
        return []
    calls, requests = _read_requests(messages)
    results = {part.tool_call_id: part for part in last.content if isinstance(part, ToolResultContent)}
    found: dict[str, Approval] = {}
    for response in responses:
        if len(found) == MAX_DECISIONS:
            raise RequestError(f"must not decide on more than {MAX_DECISIONS} tool calls at once", path="messages")
        approval = find_approval(response, requests, calls)
        if is_open(approval, results):
            found.setdefault(approval.call.tool_call_id, approval)
    return [found[tool_call_id] for tool_call_id in calls if tool_call_id in found]


def _read_requests(
    messages: Sequence[ModelMessage],
) -> tuple[Mapping[str, ToolCallContent], Mapping[str, ToolApprovalRequestContent]]:
    """Return the calls by their ids, and the approval requests by theirs."""
    assistant = [part for message in messages if isinstance(message, AssistantMessage) for part in message.content]
    calls = {part.tool_call_id: part for part in assistant if isinstance(part, ToolCallContent)}
    return calls, {part.approval_id: part for part in assistant if isinstance(part, ToolApprovalRequestContent)}


def find_approval(
    response: ToolApprovalResponseContent,
    requests: Mapping[str, ToolApprovalRequestContent],
    calls: Mapping[str, ToolCallContent],
) -> Approval:
    request = requests.get(response.approval_id)
    call = calls.get(request.tool_call_id) if request is not None else None
    if request is None or call is None:
        raise InvalidToolApprovalError("The approval answers no request of this chat.", tool_name="")
    return Approval(call=call, request=request, response=response)


def is_open(approval: Approval, results: Mapping[str, ToolResultContent]) -> bool:
    """Return whether the decision is open: the call has no result, or only the refusal as its result."""
    result = results.get(approval.call.tool_call_id)
    if approval.call.provider_executed and approval.response.approved:
        return False
    return result is None or (result.output.type == "execution-denied" and not approval.response.approved)
