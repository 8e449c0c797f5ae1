"""How the loop behaves towards one client: what AI SDK majors do differently beyond their frames (PROTOCOL.md).

A row a difference, so that the loop itself knows no versions.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from usechat.protocol.dialects import Dialect

__all__ = ["LoopPolicy", "policy_for"]


class LoopPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The default is what AI SDK 7 does, with a cut stream told as the error it is."""

    approvals: bool = True
    """Whether the client can be asked."""
    shows_automatic_approvals: bool = True
    """Whether the client is shown what the application approved or denied by itself."""
    has_signature_field: bool = True
    """Whether the client keeps an approval's signature; otherwise the approval's id carries it."""
    runs_tools_after: frozenset[str] = frozenset({"stop", "tool-calls"})
    """The finish reasons after which called tools are run."""
    tool_error_ends: bool = False
    """Whether a failed tool ends the answer: AI SDK 4 sends it as an error, where its client stops."""
    runs_tools_before_error: bool = False
    """Whether called tools are run before an error in mid-stream is told, rather than not at all."""
    first_error_opens_step: bool = False
    """Whether an error event that is a model call's first comes within a step."""
    accepts_empty_answer: bool = False
    """Whether a model call that brings nothing at all counts as an answer, rather than as an error."""
    counts_begun_blocks: bool = False
    """Whether a block that has begun makes an answer, though nothing came of it."""
    goes_on_after_truncation: bool = False
    """Whether another step follows one that broke off, where all its calls have failed already."""
    tells_truncation: bool = True
    """Whether an answer that broke off ends in an error. The AI SDK ends it as if all were well."""
    reads_start_input: bool = True
    """Whether input that came whole with a call's start counts."""
    shows_empty_steps: bool = False
    """Whether a step that brought nothing is made known, by metadata that say nothing. A client that goes on by itself
    after a tool's output sees a new step only with its first part, and else sends the same message for ever."""
    resets_steps: bool = False
    """Whether the reader can forget what a step has shown, so that it can be tried again."""


ALL_REASONS = frozenset({"stop", "tool-calls", "length", "content-filter", "other", "error"})


@lru_cache(maxsize=32)
def policy_for(dialect: Dialect, *, is_continuation: bool = False) -> LoopPolicy:
    """Return the policy towards the client that ``dialect`` stands for.

    Args:
        dialect: The client.
        is_continuation: Whether the answer goes on with a message that the client has.
    """
    is_4, exact = dialect.shape == 4, dialect.exact
    return LoopPolicy(
        approvals=dialect.approvals,
        shows_automatic_approvals=dialect.approvals and dialect.accepts("tool-approval-response"),
        has_signature_field=dialect.accepts("tool-approval-request", "signature"),
        runs_tools_after=ALL_REASONS if is_4 else LoopPolicy().runs_tools_after,
        # A client that is shown no calls could not tell what failed: the model goes on, and says it.
        tool_error_ends=is_4 and dialect.accepts("9"),
        runs_tools_before_error=is_4,
        first_error_opens_step=is_4,
        accepts_empty_answer=exact and dialect.major <= 5,
        counts_begun_blocks=exact and dialect.major == 6,
        goes_on_after_truncation=exact and dialect.major in (5, 6),
        tells_truncation=not exact,
        reads_start_input=not exact or dialect.major >= 6,
        shows_empty_steps=is_continuation and not exact and not is_4,
        resets_steps=not is_4 and dialect.accepts("reset-step"),
    )
