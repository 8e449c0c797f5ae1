"""Where our backend differs from the real AI SDK's, on purpose, and why.

A row says in which aspects; each aspect named must still differ, and no other may.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from tests.conformance.compare import Aspect

__all__ = ["DIFFERENCES", "Difference"]


@dataclass(frozen=True)
class Difference:
    """Why, and in which aspects."""

    reason: str
    aspects: frozenset[Aspect]


Row = tuple[Collection[int], str, Collection[Aspect]]
"""Majors, scenarios, and the aspects in which each of these differs."""

SHOWN: Collection[Aspect] = ("frames", "state")
ENDED: Collection[Aspect] = ("exchanges", *SHOWN)
ASKED: Collection[Aspect] = ("upstream",)

_REASONS: Mapping[str, Collection[Row]] = {
    "A message of the user that a failed step has taken up is shown before the error. The SDK sends it behind, and its "
    "client reads no further than the error.": [
        ([7], "steering-error-after", SHOWN),
    ],
    "This major's provider package cannot read this and reports an error, at which its client stops reading, or breaks "
    "its answer off. We read what the newest package reads.": [
        ([4], "advisor bash-code-execution bash-code-execution-error code-execution code-execution-encrypted", ENDED),
        ([4], "code-execution-error text-editor-create text-editor-error text-editor-replace text-editor-view", ENDED),
        ([4], "tool-search-bm25 tool-search-error tool-search-regex web-fetch web-fetch-error web-fetch-pdf", ENDED),
        ([4], "web-search web-search-error web-search-unsafe-key", ENDED),
        ([4], "advisor-error advisor-redacted code-execution-start-input fallback mcp mcp-error", SHOWN),
        ([4], "citations-char citations-page citations-web compaction compaction-signed", SHOWN),
        ([4, 5, 6], "citations-block citations-search citations-web-untitled", SHOWN),
        ([5], "advisor advisor-error advisor-redacted code-execution-encrypted mcp mcp-error", SHOWN),
        ([5], "tool-search-bm25 tool-search-error tool-search-regex", SHOWN),
        ([5, 6], "web-fetch-pdf", SHOWN),
        ([5], "two-turns-mcp", SHOWN),
        ([4], "two-turns-web-search two-turns-web-fetch two-turns-code-execution", [*ENDED, *ASKED]),
        ([4], "two-turns-mcp two-turns-citations-web two-turns-compaction", [*SHOWN, *ASKED]),
    ],
    "This major's provider package leaves out what the newest one puts into the message. It is kept for older clients "
    "too, because they send it back and the next request to the model needs it.": [
        ([5], "code-execution code-execution-error code-execution-start-input tool-caller web-fetch", SHOWN),
        ([5], "two-turns-code-execution two-turns-web-fetch", SHOWN),
        ([5, 6], "compaction-signed", SHOWN),
        ([6], "advisor", SHOWN),
    ],
    "No provider package of the SDK reads what the API may add in future, or this part of what it sends already: each "
    "is reported as an error. We pass over it, and the answer goes on.": [
        ([4, 5, 6, 7], "unknown-block unknown-delta unknown-event", SHOWN),
        ([5, 6, 7], "context-management", SHOWN),
    ],
    "The SDK demands token counts. Other servers that speak the Messages API send none, and are read.": [
        ([4, 5, 6, 7], "usage-missing", SHOWN),
    ],
    "A result whose call is not in this answer is an error to the SDK, breaks its answer off, or is sent to a client "
    "that refuses it. We leave it out.": [
        ([4, 5], "mcp-resumed tool-search-resumed", SHOWN),
        ([6, 7], "mcp-resumed", ENDED),
        ([6, 7], "tool-search-resumed", SHOWN),
    ],
    "Content that comes whole with the message's start is read, as newer majors do.": [
        ([4, 5], "tool-prefilled", SHOWN),
    ],
    "AI SDK 4 knows no toolsets, and 7 breaks its answer off at a call to one that it was not given.": [
        ([4], "toolset", SHOWN),
        ([7], "toolset", [*ENDED, *ASKED]),
    ],
    "Of a toolset's call that nobody declared, AI SDK 5 and 6 write the member first, and their own words for the "
    "error. We write what 7 does.": [
        ([5, 6], "toolset", ["frames", *ASKED]),
    ],
    "An unsafe key in what comes whole makes the SDK drop the event, report an error, and break its answer off at the "
    "result. We treat it as an input in pieces that cannot be read.": [
        ([4, 5], "mcp-unsafe-key", SHOWN),
        ([6, 7], "mcp-unsafe-key", ENDED),
    ],
    "AI SDK 5 answers the provider's call itself, too, and asks the model once more. We leave it to the provider.": [
        ([5], "web-search-unsafe-key", SHOWN),
    ],
    "AI SDK 4 does not notice that two answers have been mixed. The newer majors end with an error, and so do we.": [
        ([4], "message-spliced", SHOWN),
    ],
    "AI SDK 4 crashes at a signature without a thought.": [([4], "thinking-signature-only", ENDED)],
    "Events framed with CR alone are legal SSE; the SDK loses the last of them.": [([5, 6, 7], "framing-cr", SHOWN)],
    "When the provider's connection breaks, the SDK breaks its own, and the client shows the browser's words for it. "
    "We end the stream with an error.": [
        ([4, 5, 6, 7], "cut-within-text", ENDED),
        ([4], "steps-http-error", ENDED),
    ],
    "A call that was never answered makes the SDK refuse the whole chat from then on, or the API refuse the request. "
    "We tell the model that it was interrupted.": [
        ([4], "client-tool-abandoned", ["exchanges", "headers", *SHOWN, *ASKED]),
        ([4], "two-turns-tool-throws two-turns-tool-invalid", ["exchanges", "headers", *SHOWN, *ASKED]),
        ([5], "client-tool-abandoned", ASKED),
        ([6, 7], "client-tool-abandoned", [*SHOWN, *ASKED]),
    ],
    "Where AI SDK 5 and 6 go on after a call that cannot be read, and 7 does not, the model is told so in 7's words.": [
        ([5, 6], "steps-end-after-invalid-call", ASKED),
    ],
    "A null as a call's input goes back as none, in this turn and in later ones. The SDK sends it as a value; 7 "
    "does so in this turn alone.": [
        ([5, 6, 7], "tool-null-input two-turns-tool-null-input", ASKED),
    ],
    "An answer that holds nothing and gives no reason for its end is an error. The SDK ends it as if it were whole.": [
        ([6, 7], "odd-no-stop-reason-nothing", SHOWN),
    ],
    "A message that calls tools and does not say why it ends, or takes back that it did, has called tools. The SDK "
    "does not run them, or calls the reason unknown (4).": [
        ([4], "odd-stop-reason-erased", ["frames"]),
        ([5, 6, 7], "odd-no-stop-reason-call odd-stop-reason-erased", [*SHOWN, *ASKED]),
    ],
    "Behind an error, at which its client has stopped reading, the SDK runs tools and asks the model again. We end.": [
        ([4, 5, 6, 7], "odd-error-then-call", ["frames", *ASKED]),
        ([4, 6], "odd-call-then-error", ["frames", *ASKED]),
        ([5, 7], "odd-call-then-error", [*SHOWN, *ASKED]),
    ],
    "An error behind the message's end is not the reason that these majors tell.": [
        ([4, 5, 6], "odd-stop-then-error", ["frames"]),
    ],
    "A code execution whose input does not come as Anthropic sends it keeps its kind, and its result. The SDK writes a "
    "broken input, or names another tool.": [
        ([6, 7], "odd-bash-start-input odd-bash-space-first", SHOWN),
        ([6, 7], "odd-bash-start-input-steps odd-bash-space-first-steps odd-bash-no-input-steps", [*SHOWN, *ASKED]),
    ],
    "In later turns the SDK sends a failed MCP call's blocks back as JSON text. We send them as they came, as both do "
    "within one answer.": [
        ([6, 7], "odd-mcp-error-turns", ASKED),
    ],
    "AI SDK 5 has a place for reasoning tokens, which its provider package does not fill.": [
        ([5], "odd-usage-reasoning", SHOWN),
    ],
    "What comes within a block's start is lost to the SDK, whose tool then runs without its input. We show it.": [
        ([4, 5, 6, 7], "text-in-block-start", SHOWN),
        ([4, 5], "tool-start-input", SHOWN),
    ],
    "AI SDK 4 tells a tool's failure the moment it happens, before the calls that come after it. We run tools when the "
    "model is done, as newer majors do.": [([4], "tool-throws-beside-one-that-works", SHOWN)],
    "AI SDK 4 goes on to another step when one of several calls was valid, though its client has stopped reading at "
    "the error of the other. We end the answer.": [([4], "tool-invalid-beside-one-that-works", ["frames", *ASKED])],
}

# The streams that ship are named as they are there.
_SCENARIOS_OF_OUR_OWN = (
    "two-turns-", "framing-", "cut-", "steps-", "steering-", "client-", "tool-throws-", "tool-invalid-",
    "tool-null-", "odd-",
)  # fmt: skip


def _rows() -> Iterator[tuple[tuple[int, str], Difference]]:
    for reason, rows in _REASONS.items():
        for majors, names, aspects in rows:
            for major in majors:
                for name in names.split():
                    scenario = name if name.startswith(_SCENARIOS_OF_OUR_OWN) else f"stream-{name}"
                    yield (major, scenario), Difference(reason, frozenset(aspects))


DIFFERENCES: Mapping[tuple[int, str], Difference] = dict(_rows())
"""By major and the scenario's name."""
