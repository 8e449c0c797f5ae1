"""Citations: on the text block for the majors that show them there, as sources for those that do that."""

from __future__ import annotations

import json
from typing import Any

import pytest

from usechat.models.claude.response.citations import CitationDocument
from usechat.models.claude.response.events import AnthropicStream
from usechat.parts import Error, ModelPart, SourceDocument, SourceUrl, TextDelta, TextEnd
from usechat.testing.streams import frame_event, read_events, read_stream

ALMANAC = CitationDocument("Almanac 2026", "application/pdf", "almanac.pdf")
NOTES = CitationDocument("Untitled Document", "text/plain")


def read(name: str, *documents: CitationDocument) -> list[ModelPart]:
    stream = AnthropicStream(citation_documents=documents, generate_id=lambda: "made-up")
    return stream.feed(read_stream(name)) + stream.finish()


def cited_end(name: str, *documents: CitationDocument) -> TextEnd:
    return next(part for part in read(name, *documents) if isinstance(part, TextEnd))


def shown(name: str, *documents: CitationDocument) -> dict[str, Any]:
    citations = cited_end(name, *documents).citations
    assert citations is not None
    (citation,) = citations
    return dict(citation)


def raw(name: str) -> dict[str, Any]:
    return next(json.loads(event)["delta"]["citation"] for event in read_events(name) if "citations_delta" in event)


NAMES = ["citations-web", "citations-search", "citations-char", "citations-page", "citations-block"]


@pytest.mark.parametrize("name", NAMES)
def test_text_end_carries_the_citation_as_it_came(name: str):
    assert cited_end(name).provider_metadata == {"anthropic": {"citations": [raw(name)]}}
    assert shown(name)["citedText"] == raw(name)["cited_text"]
    assert shown(name)["source"]["providerMetadata"] == {"anthropic": raw(name)}


@pytest.mark.parametrize("name", NAMES)
def test_majors_before_7_keep_the_citations_of_web_pages_only(name: str):
    expected = {"anthropic": {"citations": [raw(name)]}} if name == "citations-web" else None
    assert cited_end(name).provider_metadata_before_7 == expected


def test_text_without_citations_carries_none():
    ends = [part for part in read("citations-web") if isinstance(part, TextEnd)]
    assert ends[1] == TextEnd("1")


def source(name: str, *documents: CitationDocument) -> dict[str, Any]:
    found = dict(shown(name, *documents)["source"])
    del found["providerMetadata"]
    return found


@pytest.mark.parametrize(
    ("name", "documents", "expected"),
    [
        (
            "citations-web",
            [],
            {
                "type": "source",
                "sourceType": "url",
                "id": "https://tides.example/whitby",
                "url": "https://tides.example/whitby",
                "title": "Whitby tide times",
            },
        ),
        (
            "citations-web-untitled",
            [],
            {
                "type": "source",
                "sourceType": "url",
                "id": "https://tides.example/raw",
                "url": "https://tides.example/raw",
            },
        ),
        (
            "citations-search",
            [],
            {
                "type": "source",
                "sourceType": "url",
                "id": "https://tides.example/api",
                "url": "https://tides.example/api",
                "title": "Tide API",
            },
        ),
        (
            "citations-char",
            [],
            {"type": "source", "sourceType": "document", "id": "0", "mediaType": "text/plain", "title": "Almanac"},
        ),
        (
            "citations-char",
            [ALMANAC],
            {
                "type": "source",
                "sourceType": "document",
                "id": "0",
                "mediaType": "application/pdf",
                "title": "Almanac",
                "filename": "almanac.pdf",
            },
        ),
        (
            "citations-page",
            [NOTES, ALMANAC],
            {
                "type": "source",
                "sourceType": "document",
                "id": "file_almanac",
                "mediaType": "application/pdf",
                "title": "Almanac 2026",
                "filename": "almanac.pdf",
            },
        ),
        (
            "citations-page",
            [],
            {
                "type": "source",
                "sourceType": "document",
                "id": "file_almanac",
                "mediaType": "text/plain",
                "title": "Document 1",
            },
        ),
        (
            "citations-block",
            [],
            {"type": "source", "sourceType": "document", "id": "0", "mediaType": "text/plain", "title": "Almanac"},
        ),
    ],
)
def test_citation_has_the_shape_that_ai_sdk_7_shows(
    name: str, documents: list[CitationDocument], expected: dict[str, Any]
):
    assert source(name, *documents) == expected


def test_quoted_web_page_is_a_source_in_place_for_6_and_at_the_end_for_7():
    parts = read("citations-web")
    sources = [part for part in parts if isinstance(part, SourceUrl)]
    assert [(part.since_major, part.until_major) for part in sources] == [(6, 6), (7, 99)]
    assert parts.index(sources[0]) < parts.index(cited_end("citations-web"))
    assert parts.index(sources[1]) == len(parts) - 2
    assert sources[0].url == "https://tides.example/whitby"
    assert sources[0].title == "Whitby tide times"
    assert sources[0].provider_metadata == {"anthropic": {"citedText": "HW 14:20", "encryptedIndex": "Eo8BCio"}}


def test_quoted_page_is_no_source_for_7_when_a_search_has_listed_it():
    stream = AnthropicStream()
    quote = [event for event in read_events("citations-web") if "message_st" not in event and "message_d" not in event]
    moved = [event.replace('"index":0', '"index":3').replace('"index":1', '"index":4') for event in quote]
    searched = read_events("web-search")
    body = b"".join(frame_event(event) for event in [*searched[:-2], *moved, *searched[-2:]])
    sources = [part for part in stream.feed(body) if isinstance(part, SourceUrl)]
    assert [part.since_major for part in sources] == [0, 0, 6]


@pytest.mark.parametrize(
    ("name", "documents", "title", "metadata"),
    [
        (
            "citations-char",
            [ALMANAC],
            "Almanac",
            {"citedText": "Water rises.", "startCharIndex": 0, "endCharIndex": 12},
        ),
        (
            "citations-page",
            [NOTES, ALMANAC],
            "Almanac 2026",
            {"citedText": "Water falls.", "startPageNumber": 3, "endPageNumber": 4},
        ),
    ],
)
def test_quoted_document_is_a_source_when_the_request_asked_for_citations(
    name: str, documents: list[CitationDocument], title: str, metadata: dict[str, Any]
):
    (part,) = [part for part in read(name, *documents) if isinstance(part, SourceDocument)]
    assert part == SourceDocument(
        source_id="made-up",
        media_type="application/pdf",
        title=title,
        filename="almanac.pdf",
        provider_metadata={"anthropic": metadata},
    )


@pytest.mark.parametrize("name", ["citations-char", "citations-page", "citations-block", "citations-search"])
def test_quoted_document_is_no_source_when_the_request_did_not_ask(name: str):
    assert not any(isinstance(part, SourceDocument | SourceUrl) for part in read(name))


def test_fetched_page_can_be_quoted_as_a_document():
    (part,) = [part for part in read("web-fetch") if isinstance(part, SourceDocument)]
    assert (part.title, part.media_type, part.filename) == ("Harbour notices", "text/plain", None)


def quote(document_title: str, *documents: CitationDocument) -> list[ModelPart]:
    place = {"type": "char_location", "document_index": 0, "start_char_index": 0, "end_char_index": 1}
    citation = {**place, "cited_text": "x", "document_title": document_title}
    stream = AnthropicStream(citation_documents=documents)
    parts: list[ModelPart] = []
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": citation}},
        {"type": "content_block_stop", "index": 0},
    ]
    for event in events:
        parts += stream.feed_event(event)
    return parts


def test_quoted_document_with_an_empty_title_keeps_it():
    (end,) = [part for part in quote("") if isinstance(part, TextEnd)]
    assert end.citations is not None
    assert end.citations[0]["source"]["title"] == ""
    (made,) = [part for part in quote("", NOTES) if isinstance(part, SourceDocument)]
    assert made.title == ""


@pytest.mark.parametrize(
    "change",
    [{"url": None}, {"url": 5}, {"title": ["Tides"]}, {"type": "a later kind"}, {"type": None}],
    ids=["no address", "a number for one", "a list for a title", "of a type to come", "of none"],
)
def test_citation_that_cannot_be_read_is_left_out_and_the_text_stays(change: dict[str, Any]):
    citation = raw("citations-web")
    changed = {name: value for name, value in {**citation, **change}.items() if value is not None}
    body = read_stream("citations-web").replace(compact(citation), compact(changed))
    assert compact(changed) in body
    stream = AnthropicStream(generate_id=lambda: "made-up")
    parts = stream.feed(body) + stream.finish()
    whole = read("citations-web")
    assert [part for part in parts if isinstance(part, TextDelta)] == [
        part for part in whole if isinstance(part, TextDelta)
    ]
    assert [part for part in parts if isinstance(part, TextEnd)] == [TextEnd("0"), TextEnd("1")]
    assert not any(isinstance(part, SourceUrl | Error) for part in parts)


def compact(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("change", [{"url": 5}, {"title": ["Tides"]}])
def test_search_whose_hits_cannot_be_read_is_an_error_in_the_answer(change: dict[str, Any]):
    (event,) = [event for event in read_events("web-search") if "web_search_tool_result" in event]
    start = json.loads(event)
    start["content_block"]["content"][0].update(change)
    stream = AnthropicStream(generate_id=lambda: "made-up")
    parts = stream.feed(read_stream("web-search").replace(event.encode(), compact(start)))
    assert [part for part in parts if isinstance(part, Error)]
    assert not any(isinstance(part, SourceUrl) and part.since_major == 0 for part in parts)
