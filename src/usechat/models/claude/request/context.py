"""The state that the converters of one request share. Knows no converter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from usechat.messages.model import FileContent
from usechat.models.claude.keys import CacheBreakpoints

__all__ = ["Block", "BlockContext"]

Block: TypeAlias = dict[str, Any]


class BlockContext(msgspec.Struct, kw_only=True):
    """The state that the converters of one request share."""

    cache: CacheBreakpoints
    tool_names: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """Maps the provider's names of its tools to the application's names."""
    toolsets: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """Maps the application's names of toolsets to the provider's names."""
    sends_reasoning: bool = True
    betas: dict[str, None] = msgspec.field(default_factory=dict[str, None])
    """The beta features that the request needs, in order of their first use."""
    warnings: list[str] = msgspec.field(default_factory=list[str])
    user_files: list[FileContent] = msgspec.field(default_factory=list[FileContent])
    """The files that the user has sent, in order."""
    is_newest: bool = True
    """Whether the message is the newest. An unreadable file is an error there, and becomes a note in older messages."""
    mcp_tool_use_ids: set[str] = msgspec.field(default_factory=set[str])
    unanswered: set[str] = msgspec.field(default_factory=set[str])
    """Ids of the provider's calls whose results were left out."""
