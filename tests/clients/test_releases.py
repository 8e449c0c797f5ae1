"""Every part there is, in the frames for one release or for all releases of a major, read by the releases themselves.

On both sides of each change of what a client accepts: the release before it must read what it gets by its own name and
by that of its major, and would refuse what the release after it gets. So no entry of the tables is too old or too new.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.clients.app import PICTURE
from tests.support.node import NodeProgram
from usechat.parts import (
    Abort,
    Custom,
    Data,
    Error,
    File,
    Finish,
    FinishReason,
    FinishStep,
    MessageMetadata,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningFile,
    ReasoningStart,
    ResetStep,
    SourceDocument,
    SourceUrl,
    Start,
    StartStep,
    SteeringMessage,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolApprovalResponse,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
    Usage,
)
from usechat.protocol.dialects import Dialect, parse_dialect
from usechat.protocol.encoders import EncoderOptions, make_encoder

SCHEMAS = (
    *("5.0.0", "5.0.6", "5.0.7", "5.0.10", "5.0.11", "5.0.60", "5.0.91", "5.0.92", "5.0.216", "5.0.277"),
    *("6.0.0", "6.0.14", "6.0.15", "6.0.38", "6.0.39", "6.0.119", "6.0.120", "6.0.175", "6.0.176", "6.0.201"),
    *("6.0.202", "6.0.230", "6.0.324"),
    *("7.0.0", "7.0.31", "7.0.69", "7.0.70", "7.0.148", "7.0.149", "7.0.162", "7.0.163", "7.0.173"),
)
CHANGES = (
    # the last release that refuses what the next one gets; newer ones pass over keys that they do not know
    *(("5.0.6", "5.0.7"), ("5.0.10", "5.0.11"), ("5.0.91", "5.0.92")),
    *(
        ("6.0.14", "6.0.15"),
        ("6.0.38", "6.0.39"),
        ("6.0.119", "6.0.120"),
        ("6.0.175", "6.0.176"),
        ("6.0.201", "6.0.202"),
    ),
    *(("7.0.69", "7.0.70"), ("7.0.148", "7.0.149"), ("7.0.162", "7.0.163")),
)
LINES = (
    # a line, the last release of `ai` that refuses it with its `@ai-sdk/ui-utils`, and the first that reads it
    ("b", ("3.2.27", "0.0.14"), ("3.2.28", "0.0.15")),
    ("c", ("3.2.27", "0.0.14"), ("3.2.28", "0.0.15")),
    ("d", ("3.2.37", "0.0.20"), ("3.2.38", "0.0.21")),
    ("a", ("3.2.41", "0.0.22"), ("3.2.42", "0.0.23")),
    ("e", ("3.3.20", "0.0.39"), ("3.3.21", "0.0.40")),
    ("f", ("4.0.38", "1.0.10"), ("4.0.39", "1.0.11")),
    ("g", ("4.1.0", "1.1.0"), ("4.1.1", "1.1.1")),
    ("h", ("4.1.34", "1.1.11"), ("4.1.35", "1.1.12")),
    ("i", ("4.1.45", "1.1.15"), ("4.1.46", "1.1.16")),
    ("j", ("4.1.45", "1.1.15"), ("4.1.46", "1.1.16")),
    ("k", ("4.1.62", "1.1.19"), ("4.1.63", "1.1.20")),
)
WITHOUT_USAGE = (("3.3.33", "0.0.41"), ("3.3.35", "0.0.42"))

PAGE = {"type": "source", "sourceType": "url", "id": "s1", "url": "https://tides.example/", "title": "Tides"}
SEEN = {"example": {"seen": True}}
TOOL: dict[str, Any] = {"provider_metadata": SEEN, "tool_metadata": {"by": "hand"}}


def call_of(number: int) -> dict[str, Any]:
    return {"tool_call_id": f"t{number}", "tool_name": "look"}


def input_of(number: int, **more: Any) -> list[Part]:
    call = call_of(number)
    return [
        ToolInputStart(**call, title="Looking", **TOOL, **more),
        ToolInputDelta(call["tool_call_id"], '{"at":"sea"}'),
        ToolInputAvailable(**call, input={"at": "sea"}, title="Looking", **TOOL),
    ]


def approval_of(number: int) -> Part:
    return ToolApprovalRequest(
        approval_id=f"a{number}",
        tool_call_id=f"t{number}",
        signature="signed",
        is_automatic=True,
        reason="why not",
        input_schema_input={"at": "sea"},
        approval_descriptor={"kind": "example"},
    )


USAGE = Usage(input_no_cache=1, input_first=1, output=2)
FIRST_STEP: Sequence[Part] = (
    Start(message_id="m1", message_metadata={"model": "by hand"}),
    StartStep(),
    ReasoningStart("r", SEEN),
    ReasoningDelta("r", "So."),
    ReasoningDelta("r", "", {"anthropic": {"signature": "c2ln"}}),
    ReasoningEnd("r", SEEN),
    ReasoningStart("s", {"anthropic": {"redactedData": "aGlk"}}),
    ReasoningEnd("s"),
    TextStart("t", SEEN),
    TextDelta("t", "Here they are."),
    TextEnd("t", SEEN, citations=({"source": PAGE, "citedText": "HW"},)),
    SourceUrl(source_id="s1", url="https://tides.example/", title="Tides", provider_metadata=SEEN),
    SourceDocument(source_id="s2", media_type="text/plain", title="Chart", filename="c.txt", provider_metadata=SEEN),
    File(media_type="image/png", url=PICTURE, provider_metadata=SEEN),
    ReasoningFile(media_type="image/png", url=PICTURE, provider_metadata=SEEN),
    Custom("example.note", SEEN),
    Data(name="weather", data={"city": "Oslo"}, id="w"),
    Data(name="status", data="nearly", transient=True),
    MessageMetadata({"seconds": 1.5}),
    *input_of(1, input_encoding="json"),
    ToolOutputAvailable(**call_of(1), output="waves", preliminary=True, **TOOL),
    ToolOutputAvailable(**call_of(1), output=None, **TOOL),
    *input_of(2),
    ToolOutputError(**call_of(2), error_text="no sea", provider_executed=True, **TOOL),
    ToolInputStart(**call_of(3)),
    ToolInputError(**call_of(3), input={"at": 5}, error_text="no", title="Looking", **TOOL),
    FinishStep(finish_reason=FinishReason("tool-calls"), usage=USAGE),
)
SECOND_STEP: Sequence[Part] = (
    StartStep(),
    TextStart("u"),
    TextDelta("u", "A first try."),
    ResetStep(),
    TextStart("v"),
    TextDelta("v", "And so on."),
    TextEnd("v"),
    SteeringMessage(id="u2", parts=({"type": "text", "text": "Faster."},)),
    *input_of(4),
    approval_of(4),
    ToolApprovalResponse(approval_id="a4", approved=True, reason="as ever", provider_metadata=SEEN),
    ToolOutputAvailable(**call_of(4), output={"waves": 2}),
    *input_of(5),
    approval_of(5),
    ToolOutputDenied(tool_call_id="t5", tool_name="look"),
    FinishStep(finish_reason=FinishReason("stop"), usage=USAGE),
)
REASONS = (
    *(
        FinishReason(word)
        for word in ("stop", "length", "content-filter", "tool-calls", "error", "other", "interrupted")
    ),
    *(FinishReason("other", raw) for raw in ("compaction", "pause_turn", "refusal", "never_heard_of")),
    FinishReason("length", "model_context_window_exceeded"),
)
STOPPED: Sequence[Part] = (Start(), StartStep(), TextStart("t"), TextDelta("t", "So f"), Abort("stopped"))
FAILED: Sequence[Part] = (Start(), StartStep(), TextStart("t"), TextDelta("t", "So f"), Error("gone"))


def finish(reason: FinishReason) -> Part:
    return Finish(finish_reason=reason, total_usage=USAGE, message_metadata={"usage": USAGE})


EVERYTHING = (*FIRST_STEP, *SECOND_STEP, finish(REASONS[0]))


def dialect_of(name: str) -> Dialect:
    dialect = parse_dialect(name)
    assert dialect is not None
    return dialect


def frames(parts: Sequence[Part], name: str, **options: Any) -> str:
    encoder = make_encoder(None, dialect_of(name), EncoderOptions(**options))
    return (encoder.feed_all(parts) + encoder.finish()).decode()


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProgram]:
    program = NodeProgram(Path(__file__).parent / "releases.mjs", log=tmp_path_factory.mktemp("releases") / "log")
    yield program
    program.close()


def names_of(version: str) -> list[str]:
    """What a client of it may be called: itself, its minor, its major, and a prerelease of what came later."""
    major, minor, _ = version.split(".")
    return (
        [version, f"{major}.{minor}", major, f"{int(major) + 1}.0.0-beta.1"] if major < "7" else [version, "7.0", "7"]
    )


NAMED = [(version, name) for version in SCHEMAS for name in names_of(version)]


@pytest.mark.parametrize(("version", "name"), NAMED)
def test_a_release_reads_every_part_by_each_of_its_names(version: str, name: str, releases: NodeProgram):
    assert refusal(releases, version, EVERYTHING, name) is None
    for reason in REASONS:
        assert refusal(releases, version, (Start(), finish(reason)), name) is None
    assert refusal(releases, version, STOPPED, name) is None
    assert refusal(releases, version, FAILED, name) == "gone"


CLOSED = FinishStep(finish_reason=FinishReason("other"), usage=USAGE)


def refusal(releases: NodeProgram, version: str, parts: Sequence[Part], name: str) -> str | None:
    return releases.ask("chunks", version=version, body=frames(parts, name))["error"]


@pytest.mark.parametrize(("last", "first"), CHANGES)
def test_a_release_before_a_change_refuses_what_comes_with_it(last: str, first: str, releases: NodeProgram):
    answers = (EVERYTHING, (Start(), finish(FinishReason("interrupted"))), STOPPED)
    assert any(refusal(releases, last, parts, first) for parts in answers)


@pytest.mark.parametrize("version", [version for version in SCHEMAS if version >= "6"])
@pytest.mark.parametrize("naming", [slice(1), slice(3), slice(None)], ids=["major", "minor", "whole"])
def test_every_release_that_can_ask_is_asked(version: str, naming: slice, releases: NodeProgram):
    asked = (*FIRST_STEP[:2], *input_of(4), approval_of(4), CLOSED)
    read = releases.ask("chunks", version=version, body=frames(asked, version[naming]))
    assert read["error"] is None
    (part,) = [part for part in read["message"]["parts"] if part["type"] == "tool-look"]
    assert (part["state"], part["approval"]["id"]) == ("approval-requested", "a4")


@pytest.mark.parametrize(("code", "last", "first"), LINES)
def test_a_line_is_sent_to_those_that_read_it(
    code: str, last: tuple[str, str], first: tuple[str, str], releases: NodeProgram
):
    before, after = frames(EVERYTHING, last[0]), frames(EVERYTHING, first[0])
    assert releases.ask("lines", version=last[1], body=before)["error"] is None
    assert releases.ask("lines", version=first[1], body=after)["error"] is None
    new = [line for line in after.splitlines(keepends=True) if line.startswith(f"{code}:")]
    assert new
    assert releases.ask("lines", version=last[1], body="".join(new))["error"] is not None


def test_usage_is_sent_to_those_that_want_it_even_unasked(releases: NodeProgram):
    (old, old_parser), (new, new_parser) = WITHOUT_USAGE
    for name, parser in ((old, old_parser), (new, new_parser)):
        body = frames(EVERYTHING, name, send_usage=False)
        assert releases.ask("lines", version=parser, body=body)["error"] is None
        assert ('"usage"' in body.splitlines()[-1]) is (name == old)
    assert (
        releases.ask("lines", version=old_parser, body=frames(EVERYTHING, new, send_usage=False))["error"] is not None
    )
