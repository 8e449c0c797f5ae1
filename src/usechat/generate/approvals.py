"""Approvals: signed when asked for, checked when answered, so that a forged or altered one never runs a tool.

The signature is the AI SDK's own (``tool-approval-signature.ts`` and ``canonical-hash.ts``, 7.0.173), so that a chat
may move between a TypeScript backend and this one in the middle of an approval. Clients that keep no signature (before
late 6) get it within the approval's id, which every client sends back as it was.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import msgspec

from usechat.errors import InvalidToolApprovalError
from usechat.messages.model import (
    AssistantMessage,
    ModelMessage,
    ToolApprovalRequestContent,
    ToolApprovalResponseContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
)
from usechat.protocol.json import encode_json

__all__ = ["Approval", "canonical_json", "collect_approvals", "process_secret", "sign", "verify"]

SIGNED_ID = "."
"""Between an approval's id and the signature, in an id that carries one; no id of ours has it."""


@lru_cache(maxsize=1)
def process_secret() -> str:
    """A secret of this process, for applications that set none. Other processes do not share it."""
    return secrets.token_urlsafe(32)


def canonical_json(value: Any) -> bytes:
    """``value`` as the AI SDK hashes it: keys sorted, no spaces, numbers as JavaScript writes them."""
    match value:
        case dict():
            fields = cast("dict[str, Any]", value)
            # JavaScript compares UTF-16 code units.
            keys = sorted(fields, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
            items = b",".join(encode_json(key) + b":" + canonical_json(fields[key]) for key in keys)
            return b"{" + items + b"}"
        case list() | tuple():
            return b"[" + b",".join(canonical_json(item) for item in cast("Sequence[Any]", value)) + b"]"
        case float():
            return javascript_number(value).encode()
        case _:
            return encode_json(value)


def javascript_number(value: float) -> str:
    """A float as ``JSON.stringify`` writes it (ECMA-262, Number::toString)."""
    if math.isnan(value) or math.isinf(value):
        return "null"
    if value == 0:
        return "0"
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    mantissa, _, exponent = repr(value).partition("e")
    if not exponent:
        return mantissa
    if -7 <= int(exponent) < 0:
        return f"{value:.{len(mantissa.replace('-', '').replace('.', '')) - 1 - int(exponent)}f}"
    return f"{mantissa}e{int(exponent):+d}"


def digest(value: Any) -> str:
    return encode_url(hashlib.sha256(canonical_json(value)).digest())


def encode_url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(secret: str, *, approval_id: str, tool_call_id: str, tool_name: str, input: Any) -> str:
    """The signature of an approval request (PROTOCOL.md section 4): base64url without padding."""
    fields = ["ai-sdk-tool-approval-v1", approval_id, tool_call_id, tool_name, digest(input)]
    return encode_url(hmac.digest(secret.encode(), encode_json(fields), "sha256"))


def verify(secret: str, signature: str, *, approval_id: str, tool_call_id: str, tool_name: str, input: Any) -> bool:
    """Whether a signature is ours, in today's form or the older one with newlines between the fields."""
    fields = {"approval_id": approval_id, "tool_call_id": tool_call_id, "tool_name": tool_name}
    given = signature.encode("utf-8", "replace")
    if hmac.compare_digest(given, sign(secret, **fields, input=input).encode()):
        return True
    # The older form is ambiguous where a field holds a newline.
    if any("\n" in value for value in fields.values()):
        return False
    text = "\n".join([*fields.values(), digest(input)]).encode("utf-8", "surrogatepass")
    return hmac.compare_digest(given, encode_url(hmac.digest(secret.encode(), text, "sha256")).encode())


def sign_request(secret: str, approval_id: str, in_id: bool, **call: Any) -> tuple[str, str | None]:
    """The id and the signature to send: ``in_id`` puts the latter into the former."""
    signature = sign(secret, approval_id=approval_id, **call)
    return (f"{approval_id}{SIGNED_ID}{signature}", None) if in_id else (approval_id, signature)


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A user's decision on one tool call of the history."""

    call: ToolCallContent
    request: ToolApprovalRequestContent
    response: ToolApprovalResponseContent

    def check(self, secret: str) -> None:
        """Make sure that this server asked for exactly this call.

        Raises:
            InvalidToolApprovalError: The signature is missing or does not fit.
        """
        approval_id, _, in_id = self.request.approval_id.partition(SIGNED_ID)
        signature = self.request.signature or in_id
        call = {"tool_call_id": self.call.tool_call_id, "tool_name": self.call.tool_name}
        if not signature:
            raise InvalidToolApprovalError("The approval is not signed.", **call)
        signed_id = self.request.approval_id if self.request.signature else approval_id
        if not verify(secret, signature, approval_id=signed_id, input=self.call.input, **call):
            raise InvalidToolApprovalError("The approval's signature does not fit its tool call.", **call)


def collect_approvals(messages: Sequence[ModelMessage]) -> list[Approval]:
    """The decisions in the last message that are still to be carried out, one a call: the first counts.

    A decision on nothing that was asked is passed over: it can run nothing.
    """
    last = messages[-1] if messages else None
    if not isinstance(last, ToolMessage):
        return []
    assistant = [part for message in messages if isinstance(message, AssistantMessage) for part in message.content]
    calls = {part.tool_call_id: part for part in assistant if isinstance(part, ToolCallContent)}
    requests = {part.approval_id: part for part in assistant if isinstance(part, ToolApprovalRequestContent)}
    settled = {
        part.tool_call_id
        for part in last.content
        if isinstance(part, ToolResultContent) and part.output.type != "execution-denied"
    }
    found: dict[str, Approval] = {}
    for response in last.content:
        if isinstance(response, ToolApprovalResponseContent) and not response.provider_executed:
            add_approval(found, response, requests, calls, settled)
    return list(found.values())


def add_approval(
    found: dict[str, Approval],
    response: ToolApprovalResponseContent,
    requests: Mapping[str, ToolApprovalRequestContent],
    calls: Mapping[str, ToolCallContent],
    settled: set[str],
) -> None:
    request = requests.get(response.approval_id)
    call = calls.get(request.tool_call_id) if request is not None else None
    if request is None or call is None or call.tool_call_id in settled:
        return
    found.setdefault(call.tool_call_id, Approval(call=call, request=request, response=response))
