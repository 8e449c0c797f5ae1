from __future__ import annotations

import pytest

from usechat.errors import ConfigurationError
from usechat.parts import FinishReason
from usechat.protocol.dialects import AUTO, NEWEST, Dialect, Version, parse_dialect

NAMES: list[tuple[str, Version]] = [
    ("4", NEWEST[4]),
    ("5", NEWEST[5]),
    ("6", NEWEST[6]),
    ("7", NEWEST[7]),
    (" v7 ", NEWEST[7]),
    ("5.0", (5, 0, 0)),
    ("6.0.100", (6, 0, 100)),
    ("7.12.3", (7, 12, 3)),
]


@pytest.mark.parametrize(("name", "version"), NAMES)
def test_a_name_gives_the_version_exactly(name: str, version: Version):
    assert parse_dialect(name) == Dialect(version, exact=True)


def test_auto_names_no_version():
    assert parse_dialect("auto") is None


@pytest.mark.parametrize("name", ["", "3", "8", "five", "5.x", "5.0.0.1", "7.-1", "7.0.0-beta.1", "٧", "55", "5."])
def test_what_is_no_version_is_refused(name: str):
    with pytest.raises(ConfigurationError, match="a full version"):
        parse_dialect(name)


ACCEPTED: list[tuple[str, str | None, str, bool]] = [
    ("finish", "finishReason", "5.0.91", False),
    ("finish", "finishReason", "5.0.92", True),
    ("finish", "finishReason", "6.0.0", True),
    ("tool-input-error", None, "5.0.0", False),
    ("tool-input-error", None, "5.0.60", True),
    ("abort", "reason", "5", False),
    ("abort", "reason", "6.0.0", False),
    ("abort", "reason", "6.0.100", True),
    ("tool-approval-request", None, "5", False),
    ("tool-approval-request", None, "6.0.0", True),
    ("tool-approval-request", "signature", "6.0.100", False),
    ("tool-approval-request", "signature", "6.0.230", True),
    ("custom", None, "6", False),
    ("custom", None, "7.0.0", True),
    ("text-end", "citations", "7.0.137", False),
    ("text-end", "citations", "7.0.138", True),
    ("steering-message", None, "7.0.149", False),
    ("text-delta", "providerMetadata", "5.0.0", True),
]


@pytest.mark.parametrize(("chunk", "field", "version", "accepted"), ACCEPTED)
def test_a_chunk_or_field_is_accepted_since_its_first_version(
    chunk: str, field: str | None, version: str, accepted: bool
):
    dialect = parse_dialect(version)
    assert dialect is not None
    assert dialect.accepts(chunk, field) is accepted


def test_auto_takes_only_what_the_oldest_client_does():
    assert AUTO.refused == Dialect((5, 0, 0), exact=True).refused
    assert {"finish.finishReason", "abort.reason", "custom", "tool-approval-request"} <= AUTO.refused


def test_major_4_has_no_chunks_to_refuse():
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


def test_an_older_major_7_does_not_know_interrupted():
    assert Dialect((7, 0, 148), exact=True).finish_reason(FinishReason("interrupted")) == "other"


def test_dialects_are_values():
    assert {Dialect((5, 0, 0), exact=False), AUTO} == {AUTO}
    assert Dialect((5, 0, 0), exact=True) != AUTO
    assert AUTO != "auto"
    assert repr(AUTO) == "Dialect(5.0.0, guessed)"
    assert repr(Dialect((7, 0, 1), exact=True)) == "Dialect(7.0.1)"


def test_only_majors_6_and_7_can_be_asked_for_approval():
    assert [Dialect(NEWEST[major], exact=True).approvals for major in (4, 5, 6, 7)] == [False, False, True, True]
