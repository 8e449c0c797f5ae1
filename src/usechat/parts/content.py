"""Parts with content: text, reasoning, sources, files, and data of providers and the application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from usechat.parts.values import ProviderMetadata

__all__ = [
    "Citation",
    "Custom",
    "Data",
    "File",
    "ReasoningDelta",
    "ReasoningEnd",
    "ReasoningFile",
    "ReasoningStart",
    "SourceDocument",
    "SourceUrl",
    "TextDelta",
    "TextEnd",
    "TextStart",
]


class TextStart(msgspec.Struct, frozen=True):
    """The start of a text block."""

    id: str
    provider_metadata: ProviderMetadata | None = None


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """Text of an open text block."""

    id: str
    delta: str
    provider_metadata: ProviderMetadata | None = None


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """A quotation in a text block: the source in the AI SDK's form, and the quoted text."""

    source: Mapping[str, Any]
    cited_text: str | None = None


class TextEnd(msgspec.Struct, frozen=True):
    """The end of a text block."""

    id: str
    provider_metadata: ProviderMetadata | None = None
    citations: tuple[Mapping[str, Any], ...] | None = None
    """The citations of the block in AI SDK 7's shape (camelCase)."""
    provider_metadata_before_7: ProviderMetadata | None = None
    """The ``provider_metadata`` for AI SDK 5 and 6 when the block has citations: they keep only some of them."""


class ReasoningStart(msgspec.Struct, frozen=True):
    """The start of a reasoning block. Redacted reasoning has its data in ``provider_metadata`` here."""

    id: str
    provider_metadata: ProviderMetadata | None = None


class ReasoningDelta(msgspec.Struct, frozen=True, gc=False):
    """Text of an open reasoning block. A signature is an empty delta with ``provider_metadata``."""

    id: str
    delta: str
    provider_metadata: ProviderMetadata | None = None


class ReasoningEnd(msgspec.Struct, frozen=True):
    """The end of a reasoning block."""

    id: str
    provider_metadata: ProviderMetadata | None = None


class SourceUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A web page that is a source of the answer."""

    source_id: str
    url: str
    title: str | None = None
    provider_metadata: ProviderMetadata | None = None
    since_major: int = 0
    """The oldest AI SDK major that shows this source. Not every major shows the source of a citation."""
    until_major: int = 99
    """The newest AI SDK major that shows this source."""


class SourceDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document that is a source of the answer."""

    source_id: str
    media_type: str
    title: str
    filename: str | None = None
    provider_metadata: ProviderMetadata | None = None
    since_major: int = 0
    until_major: int = 99


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the model made. ``url`` is a data: or https: URL."""

    media_type: str
    url: str
    provider_metadata: ProviderMetadata | None = None


class ReasoningFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file within the reasoning (AI SDK 7)."""

    media_type: str
    url: str
    provider_metadata: ProviderMetadata | None = None


class Custom(msgspec.Struct, frozen=True):
    """Content that only one provider has. ``kind`` has the form ``provider.thing`` (AI SDK 7)."""

    kind: str
    provider_metadata: ProviderMetadata | None = None


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """Data of the application: a ``data-NAME`` part of the message.

    A later part with the same name and id replaces the earlier one. Only ``onData`` gets a transient part.
    """

    name: str
    data: Any
    id: str | None = None
    transient: bool | None = None
