"""Citations of Anthropic's text, and the sources that the AI SDK makes of some of them.

The majors differ, so each source names the majors that show it: AI SDK 5 makes no source of a cited web page, 6 makes
one at the citation, 7 one at the message's end unless a web search has already listed the pages.

Facts from ``@ai-sdk/anthropic`` 4.0.105 (``map-anthropic-citation.ts``, ``createCitationSource``), 3.0.139 and 2.0.112.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from usechat.parts import ModelPart, ProviderMetadata, SourceDocument, SourceUrl

__all__ = ["CitationDocument", "Citations"]

logger = logging.getLogger(__name__)

Json = dict[str, Any]

_WEB = "web_search_result_location"
_SEARCH = "search_result_location"
_PLACES = {
    "page_location": {"startPageNumber": "start_page_number", "endPageNumber": "end_page_number"},
    "char_location": {"startCharIndex": "start_char_index", "endCharIndex": "end_char_index"},
}
"""The fields of a citation's place in a document, for locations of which the AI SDK makes sources."""


class _WebPlace(msgspec.Struct, tag_field="type", tag=_WEB):
    url: str
    title: str | None = None


class _SearchPlace(msgspec.Struct, tag_field="type", tag=_SEARCH):
    source: str
    title: str | None = None


class _DocumentPlace(msgspec.Struct):
    document_index: int
    document_title: str | None = None
    file_id: str | None = None


class _PagePlace(_DocumentPlace, tag_field="type", tag="page_location"):
    pass


class _CharPlace(_DocumentPlace, tag_field="type", tag="char_location"):
    pass


class _BlockPlace(_DocumentPlace, tag_field="type", tag="content_block_location"):
    pass


_Place: TypeAlias = _WebPlace | _SearchPlace | _PagePlace | _CharPlace | _BlockPlace
"""What is read of a citation. One without it, or of another type, has nothing that can be shown."""


class CitationDocument(msgspec.Struct, frozen=True):
    """A document of the request with citations enabled. Citations name it by its position."""

    title: str
    media_type: str
    filename: str | None = None


class Citations:
    """The citations of one message, in the order they come.

    Args:
        documents: The request's documents with citations enabled, in order.
        generate_id: Makes the ids of sources.
    """

    __slots__ = (
        "_generate_id",
        "_web",
        "documents",
        "has_search_results",
    )

    def __init__(self, documents: Iterable[CitationDocument], generate_id: Callable[[], str]) -> None:
        self.documents = list(documents)
        self.has_search_results = False
        self._generate_id = generate_id
        self._web: list[Json] = []

    def add(self, citation: Json, found: list[Json], parts: list[ModelPart]) -> None:
        """Add a citation to those of its block, and the sources that stand at it to the parts.

        One that cannot be read is passed over: the text is worth more than where it was found.
        """
        try:
            msgspec.convert(citation, _Place)
        except msgspec.ValidationError as error:
            logger.debug("passed over a citation: %s", error)
            return
        found.append(citation)
        if citation["type"] == _WEB:
            self._web.append(citation)
            parts.append(self._web_source(citation, since_major=6, until_major=6))
        elif (source := self._document_source(citation)) is not None:
            parts.append(source)

    def closing_sources(self) -> list[ModelPart]:
        """Return the cited web pages that AI SDK 7 lists at the message's end."""
        citations, self._web = self._web, []
        if self.has_search_results:
            return []
        return [self._web_source(citation, since_major=7) for citation in citations]

    def result_source(self, result: Json) -> SourceUrl:
        """Return the source of one hit of a web search."""
        url, title = result["url"], result.get("title")
        if not isinstance(url, str) or not isinstance(title, str | None):
            raise TypeError("a hit of a web search has an address or a title that is no text")
        self.has_search_results = True
        return SourceUrl(
            source_id=self._generate_id(),
            url=url,
            title=title,
            provider_metadata={"anthropic": {"pageAge": result.get("page_age")}},
        )

    def shown(self, citation: Json) -> Json:
        """Return the citation as AI SDK 7 writes it on ``text-end``."""
        if citation.get("type") in {_WEB, _SEARCH}:
            url = citation["url"] if citation["type"] == _WEB else citation["source"]
            source: Json = {"type": "source", "sourceType": "url", "id": url, "url": url}
            _set_present(source, title=citation.get("title"))
        else:
            source = self._shown_document(citation)
        source["providerMetadata"] = {"anthropic": dict(citation)}
        shown: Json = {"source": source}
        _set_present(shown, citedText=citation.get("cited_text"))
        return shown

    def _shown_document(self, citation: Json) -> Json:
        index = citation.get("document_index")
        document = self._document(index)
        title = citation.get("document_title")
        if title is None:
            title = document.title if document else f"Document {index}"
        source: Json = {
            "type": "source",
            "sourceType": "document",
            "id": str(index) if citation.get("file_id") is None else citation["file_id"],
            "mediaType": document.media_type if document else "text/plain",
            "title": title,
        }
        _set_present(source, filename=document.filename if document else None)
        return source

    def _document(self, index: Any) -> CitationDocument | None:
        return self.documents[index] if isinstance(index, int) and 0 <= index < len(self.documents) else None

    def _web_source(self, citation: Json, *, since_major: int, until_major: int = 99) -> SourceUrl:
        return SourceUrl(
            source_id=self._generate_id(),
            url=citation["url"],
            title=citation.get("title"),
            provider_metadata={
                "anthropic": {
                    "citedText": citation.get("cited_text"),
                    "encryptedIndex": citation.get("encrypted_index"),
                }
            },
            since_major=since_major,
            until_major=until_major,
        )

    def _document_source(self, citation: Json) -> SourceDocument | None:
        places = _PLACES.get(citation.get("type", ""))
        document = self._document(citation.get("document_index"))
        if places is None or document is None:
            return None
        place = {name: citation.get(key) for name, key in places.items()}
        title = citation.get("document_title")
        return SourceDocument(
            source_id=self._generate_id(),
            media_type=document.media_type,
            title=document.title if title is None else title,
            filename=document.filename,
            provider_metadata={"anthropic": {"citedText": citation.get("cited_text"), **place}},
        )


def citations_metadata(citations: Iterable[Mapping[str, Any]], *, web_only: bool = False) -> ProviderMetadata | None:
    """Return the metadata of a text block with these citations. AI SDK 5 and 6 keep only those of web pages."""
    kept = [citation for citation in citations if not web_only or citation.get("type") == _WEB]
    return {"anthropic": {"citations": kept}} if kept else None


def _set_present(target: Json, **values: Any) -> None:
    target.update({name: value for name, value in values.items() if value is not None})
