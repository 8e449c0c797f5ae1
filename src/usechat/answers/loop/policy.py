"""The loop's behaviour towards one client: differences of AI SDK majors beyond their frames.

One field for each difference, so that the loop itself knows no versions.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from usechat.protocol.dialects import Dialect

__all__ = ["LoopPolicy", "policy_for"]


class LoopPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Behaviour towards a client. The default is AI SDK 7's, except that a cut stream is reported as an error."""

    approvals: bool = True
    """Whether the client can show an approval request."""
    shows_automatic_approvals: bool = True
    """Whether the client is shown the application's own approvals and denials."""
    has_signature_field: bool = True
    """Whether the client keeps an approval's signature; otherwise the approval's id carries it."""
    shows_refusals: bool = False
    """Whether a refused call gets its refusal as output: AI SDK 4 has no failed calls, and stops at errors."""
    runs_tools_after: frozenset[str] = frozenset({"stop", "tool-calls"})
    """The finish reasons after which called tools are run."""
    tool_error_ends: bool = False
    """Whether a failed tool ends the answer: AI SDK 4 sends it as an error, where its client stops."""
    runs_tools_before_error: bool = False
    """Whether called tools run before an error in mid-stream is sent. Otherwise they do not run."""
    first_error_opens_step: bool = False
    """Whether a step is opened for an error that is the first event of a model call."""
    accepts_empty_answer: bool = False
    """Whether an empty model call counts as an answer. Otherwise it is an error."""
    counts_begun_blocks: bool = False
    """Whether an empty block counts as an answer."""
    goes_on_after_truncation: bool = False
    """Whether a step follows a cut step when all calls of the cut step have failed."""
    tells_truncation: bool = True
    """Whether a cut answer ends in an error. The AI SDK ends it without one."""
    shows_empty_steps: bool = False
    """Whether a later step without content is shown, with empty metadata.

    A client that sends by itself after a tool's output sees a new step only with its first part. Without one it sends
    the same message for ever."""
    shows_custom: bool = True
    """Whether the client gets a provider's own parts. One of them is enough for it to see a step."""
    is_continuation: bool = False
    """Whether the first step is a later one of a message that the client has."""
    resets_steps: bool = False
    """Whether the reader can forget the parts of a step, so that the step can be tried again."""


ALL_REASONS = frozenset({"stop", "tool-calls", "length", "content-filter", "other", "error"})


@lru_cache(maxsize=32)
def policy_for(dialect: Dialect, *, is_continuation: bool = False) -> LoopPolicy:
    """Return the policy for a client.

    Args:
        dialect: The client.
        is_continuation: Whether the answer continues a message that the client has.
    """
    is_4, exact = dialect.shape == 4, dialect.exact
    return LoopPolicy(
        approvals=dialect.approvals,
        shows_automatic_approvals=dialect.approvals and dialect.accepts("tool-approval-response"),
        has_signature_field=dialect.accepts("tool-approval-request", "signature"),
        shows_refusals=is_4,
        runs_tools_after=ALL_REASONS if is_4 else LoopPolicy().runs_tools_after,
        # A client without tool calls could not show which one failed: the model goes on and explains.
        tool_error_ends=is_4 and dialect.accepts("9"),
        runs_tools_before_error=is_4,
        first_error_opens_step=is_4,
        accepts_empty_answer=exact and dialect.major <= 5,
        counts_begun_blocks=exact and dialect.major == 6,
        goes_on_after_truncation=exact and dialect.major in (5, 6),
        tells_truncation=not exact,
        shows_empty_steps=not is_4,
        shows_custom=not is_4 and dialect.accepts("custom"),
        is_continuation=is_continuation,
        resets_steps=not is_4 and dialect.accepts("reset-step"),
    )
