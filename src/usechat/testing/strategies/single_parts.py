"""Strategies for parts that require no earlier part."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

from usechat.parts import (
    Custom,
    Data,
    File,
    Finish,
    FinishReason,
    FinishStep,
    MessageMetadata,
    Part,
    ReasoningFile,
    SourceDocument,
    SourceUrl,
    Start,
    SteeringMessage,
    Usage,
)
from usechat.testing.strategies.values import (
    BLOCK_IDS,
    FILE_URLS,
    FLAGS,
    MEDIA_TYPES,
    any_text,
    json_objects,
    json_values,
    optional,
    provider_metadata,
)

__all__ = ["finish_steps", "finishes", "notes", "single_parts", "starts"]


@cache
def message_metadata() -> st.SearchStrategy[Any]:
    counts = st.one_of(st.none(), st.integers(min_value=0, max_value=10**6))
    usages = st.builds(Usage, input_no_cache=counts, input_cache_read=counts, output=counts, input_first=counts)
    return st.one_of(json_objects(), st.fixed_dictionaries({"usage": usages}))


@cache
def finish_reasons() -> st.SearchStrategy[FinishReason]:
    raws = st.sampled_from([None, "end_turn", "pause_turn", "refusal", "compaction", "model_context_window_exceeded"])
    unified = st.sampled_from(["stop", "length", "content-filter", "tool-calls", "error", "other", "interrupted"])
    return st.builds(FinishReason, unified, raws)


@cache
def finish_steps() -> st.SearchStrategy[FinishStep]:
    """Draw the end of a step."""
    return st.builds(FinishStep, finish_reason=finish_reasons(), usage=st.just(Usage(output=3)))


@cache
def finishes() -> st.SearchStrategy[Finish]:
    """Draw the end of an answer."""
    usage = st.just(Usage(output=3))
    return st.builds(
        Finish, finish_reason=finish_reasons(), total_usage=usage, message_metadata=optional(message_metadata())
    )


@cache
def starts() -> st.SearchStrategy[Start]:
    """Draw the start of an answer."""
    ids = st.sampled_from([None, "m1", "m2"])
    return st.builds(Start, message_id=ids, message_metadata=optional(message_metadata()))


@cache
def notes() -> st.SearchStrategy[Part]:
    """Draw a part that an application may send at any time."""
    ids = st.sampled_from([None, "d1", "d2"])
    data = st.builds(Data, name=st.sampled_from(["x", "y"]), data=json_values(), id=ids, transient=FLAGS)
    return st.one_of(data, st.builds(MessageMetadata, message_metadata()))


@cache
def single_parts() -> st.SearchStrategy[Part]:
    """Draw a complete content part, such as a file or a source."""
    metadata = provider_metadata()
    document = st.builds(
        SourceDocument,
        source_id=BLOCK_IDS,
        media_type=MEDIA_TYPES,
        title=any_text(),
        filename=optional(any_text()),
        provider_metadata=metadata,
    )
    since, until = st.sampled_from([0, 6, 7]), st.sampled_from([5, 99])
    url = st.builds(
        SourceUrl,
        source_id=BLOCK_IDS,
        url=st.just("https://example.org/"),
        title=optional(any_text()),
        provider_metadata=metadata,
        since_major=since,
        until_major=until,
    )
    steering = st.builds(SteeringMessage, id=BLOCK_IDS, parts=st.just(({"type": "text", "text": "more"},)))
    return st.one_of(
        url,
        document,
        st.builds(File, media_type=MEDIA_TYPES, url=FILE_URLS, provider_metadata=metadata),
        st.builds(ReasoningFile, media_type=MEDIA_TYPES, url=FILE_URLS, provider_metadata=metadata),
        st.builds(Custom, st.just("anthropic.message_start"), metadata),
        steering,
    )
