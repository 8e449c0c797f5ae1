from __future__ import annotations

import pytest

from usechat.errors import ConfigurationError
from usechat.parts import FinishReason
from usechat.protocol.dialects import AUTO, NEWEST, Dialect, Version, parse_dialect

RELEASES: list[tuple[str, Version]] = [
    ("2.2.37", (2, 2, 37)),
    ("3.4.33", (3, 4, 33)),
    ("6.0.100", (6, 0, 100)),
    (" v7.0.173 ", (7, 0, 173)),
    ("7.12.3", (7, 12, 3)),
]
LINES_OF_RELEASES: list[tuple[str, Version]] = [
    ("2", (2, 0, 0)),
    ("3", (3, 0, 0)),
    ("3.4", (3, 4, 0)),
    ("4", (4, 0, 0)),
    ("4.1", (4, 1, 0)),
    ("5", (5, 0, 0)),
    ("5.0", (5, 0, 0)),
    ("6", (6, 0, 0)),
    (" v7 ", (7, 0, 0)),
    ("7.0", (7, 0, 0)),
]
PRERELEASES: list[tuple[str, Version]] = [
    ("7.0.0-beta.3", (6, 0, 0)),
    ("6.0.0-beta.150", (5, 0, 0)),
    ("5.1.0-beta.9", (5, 0, 0)),
    ("5.0.0-alpha.1", (5, 0, 0)),
    ("4.2.0-canary.5", (4, 1, 0)),
    ("4.0.0-canary.0", (3, 0, 0)),
    ("3.1.0-canary.2", (3, 0, 0)),
    ("3.0.0-canary.2", (3, 0, 0)),
    ("7.0.5-rc.1", (7, 0, 0)),
]


@pytest.mark.parametrize(("name", "version"), RELEASES)
def test_a_whole_version_is_that_release(name: str, version: Version):
    dialect = parse_dialect(name)
    assert dialect is not None
    assert dialect == Dialect(version, exact=True)
    assert dialect.is_release


@pytest.mark.parametrize(("name", "version"), LINES_OF_RELEASES)
def test_a_major_or_minor_means_what_its_every_release_accepts(name: str, version: Version):
    dialect = parse_dialect(name)
    assert dialect is not None
    assert dialect == Dialect(version, exact=True, is_release=False)
    assert dialect.refused == Dialect(version, exact=True).refused


@pytest.mark.parametrize(("name", "version"), PRERELEASES)
def test_a_prerelease_is_taken_for_what_was_before_it(name: str, version: Version):
    assert parse_dialect(name) == Dialect(version, exact=False)


def test_auto_names_no_version():
    assert parse_dialect("auto") is None


@pytest.mark.parametrize(
    "name",
    ["", "1", "8", "five", "5.x", "5.0.0.1", "7.-1", "7.0.0-", "7.0-beta", "7.0.0-béta", "٧", "55", "5.", "3.4."],
)
def test_what_is_no_version_is_refused(name: str):
    with pytest.raises(ConfigurationError, match="a version such as"):
        parse_dialect(name)


CHANGES: list[tuple[str, str | None, str, str]] = [
    # a chunk or a field of it, the last release that refuses it and the first that accepts it
    ("finish", "finishReason", "5.0.91", "5.0.92"),
    ("tool-input-error", None, "5.0.6", "5.0.7"),
    ("tool-output-available", "preliminary", "5.0.10", "5.0.11"),
    ("abort", "reason", "6.0.14", "6.0.15"),
    ("tool-input-start", "providerMetadata", "6.0.38", "6.0.39"),
    ("tool-output-available", "providerMetadata", "6.0.119", "6.0.120"),
    ("tool-output-error", "providerMetadata", "6.0.119", "6.0.120"),
    ("tool-input-start", "toolMetadata", "6.0.175", "6.0.176"),
    ("tool-input-available", "toolMetadata", "6.0.175", "6.0.176"),
    ("tool-output-available", "toolMetadata", "6.0.175", "6.0.176"),
    ("tool-approval-request", "signature", "6.0.201", "6.0.202"),
    ("tool-approval-request", "approvalDescriptor", "6.0.273", "6.0.274"),
    ("tool-approval-request", "inputSchemaInput", "6.0.289", "6.0.290"),
    ("tool-input-start", "inputEncoding", "6.0.307", "6.0.308"),
    ("reset-step", None, "7.0.69", "7.0.70"),
    ("tool-approval-request", "reason", "7.0.81", "7.0.82"),
    ("tool-approval-request", "approvalDescriptor", "7.0.86", "7.0.87"),
    ("tool-approval-request", "inputSchemaInput", "7.0.112", "7.0.113"),
    ("text-end", "citations", "7.0.137", "7.0.138"),
    ("tool-input-start", "inputEncoding", "7.0.141", "7.0.142"),
    ("steering-message", None, "7.0.162", "7.0.163"),
    ("9", None, "3.1.6", "3.1.7"),
    ("a", None, "3.1.6", "3.1.7"),
    ("b", None, "3.2.27", "3.2.28"),
    ("c", None, "3.2.27", "3.2.28"),
    ("d", None, "3.2.37", "3.2.38"),
    ("a", "short", "3.2.41", "3.2.42"),
    ("e", None, "3.3.20", "3.3.21"),
    ("d", "short", "3.3.33", "3.3.35"),
    ("f", None, "4.0.38", "4.0.39"),
    ("g", None, "4.1.0", "4.1.1"),
    ("a", "of_message", "4.1.11", "4.1.12"),
    ("h", None, "4.1.34", "4.1.35"),
    ("i", None, "4.1.45", "4.1.46"),
    ("j", None, "4.1.45", "4.1.46"),
    ("k", None, "4.1.62", "4.1.63"),
]


@pytest.mark.parametrize(("chunk", "field", "last", "first"), CHANGES)
def test_a_chunk_line_or_field_is_accepted_since_its_first_release(
    chunk: str, field: str | None, last: str, first: str
):
    before, after = parse_dialect(last), parse_dialect(first)
    assert before is not None
    assert after is not None
    assert not before.accepts(chunk, field)
    assert after.accepts(chunk, field)


ACCEPTED: list[tuple[str, str | None, str, bool]] = [
    ("finish", "finishReason", "5", False),
    ("finish", "finishReason", "6", True),
    ("abort", "reason", "5.0.277", False),
    ("tool-approval-request", None, "5.0.277", False),
    ("tool-approval-request", None, "6", True),
    ("tool-approval-request", "signature", "6", False),
    ("tool-approval-request", "signature", "7", True),
    ("custom", None, "6.0.324", False),
    ("custom", None, "7", True),
    ("text-end", "citations", "7", False),
    ("text-delta", "providerMetadata", "5", True),
    ("0", None, "3", True),
    ("d", None, "3.2", False),
    ("d", None, "3.3", True),
    ("f", None, "4", False),
    ("f", None, "4.1", True),
]


@pytest.mark.parametrize(("chunk", "field", "version", "accepted"), ACCEPTED)
def test_a_name_accepts_what_it_stands_for(chunk: str, field: str | None, version: str, accepted: bool):
    dialect = parse_dialect(version)
    assert dialect is not None
    assert dialect.accepts(chunk, field) is accepted


def test_auto_takes_only_what_the_oldest_client_does():
    assert AUTO.refused == Dialect((5, 0, 0), exact=True).refused
    assert {"finish.finishReason", "abort.reason", "custom", "tool-approval-request"} <= AUTO.refused


def test_the_newest_release_of_4_reads_every_line():
    assert Dialect(NEWEST[4], exact=True).refused == frozenset()


REASONS: list[tuple[FinishReason, str, str, str, str]] = [
    # The reason, and what majors 4, 5, 6 and 7 call it.
    (FinishReason("stop", "end_turn"), "stop", "stop", "stop", "stop"),
    (FinishReason("tool-calls", "tool_use"), "tool-calls", "tool-calls", "tool-calls", "tool-calls"),
    (FinishReason("length", "max_tokens"), "length", "length", "length", "length"),
    (FinishReason("stop", "pause_turn"), "unknown", "stop", "stop", "stop"),
    (FinishReason("content-filter", "refusal"), "unknown", "content-filter", "content-filter", "content-filter"),
    (FinishReason("length", "model_context_window_exceeded"), "unknown", "unknown", "length", "length"),
    (FinishReason("other", "compaction"), "unknown", "other", "other", "other"),
    (FinishReason("other", "new_reason"), "unknown", "unknown", "other", "other"),
    (FinishReason("interrupted"), "unknown", "unknown", "other", "interrupted"),
    (FinishReason("error"), "error", "error", "error", "error"),
]


@pytest.mark.parametrize(("reason", "four", "five", "six", "seven"), REASONS)
def test_each_major_has_its_own_word_for_a_finish_reason(
    reason: FinishReason, four: str, five: str, six: str, seven: str
):
    words = [Dialect(NEWEST[major], exact=True).finish_reason(reason) for major in (4, 5, 6, 7)]
    assert words == [four, five, six, seven]


def test_major_3_has_the_words_of_4():
    reason = FinishReason("other", "new_reason")
    assert Dialect((3, 4, 33), exact=True).finish_reason(reason) == "unknown"


@pytest.mark.parametrize(("name", "word"), [("7", "other"), ("7.0.148", "other"), ("7.0.149", "interrupted")])
def test_an_older_major_7_does_not_know_interrupted(name: str, word: str):
    dialect = parse_dialect(name)
    assert dialect is not None
    assert dialect.finish_reason(FinishReason("interrupted")) == word


def test_dialects_are_values():
    assert {Dialect((5, 0, 0), exact=False), AUTO} == {AUTO}
    assert Dialect((5, 0, 0), exact=True) != AUTO
    assert AUTO != "auto"
    assert repr(AUTO) == "Dialect(5.0.0, guessed)"
    assert repr(Dialect((7, 0, 1), exact=True)) == "Dialect(7.0.1)"
    assert repr(parse_dialect("7")) == "Dialect(7.0.0 or later)"
    assert parse_dialect("7") != parse_dialect("7.0.0")


def test_only_majors_6_and_7_can_be_asked_for_approval():
    assert [Dialect(NEWEST[major], exact=True).approvals for major in (4, 5, 6, 7)] == [False, False, True, True]
