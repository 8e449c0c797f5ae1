"""The model service of the failure test: a process of its own, whose every answer is known from the question.

``python -m tests.chaos.upstream`` prints where it listens. ``GET /counts`` tells what became of its calls.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply

__all__ = ["CALLS_PATH", "CUT", "HELD", "PIECES", "WHOLE", "expected_text"]

PIECES = 40
"""Deltas of an answer."""
SECONDS_BETWEEN = 0.15
CALLS_PATH = "/counts"

WHOLE, CUT, HELD = "whole", "cut", "held"
"""How an answer ends, as the question's last word asks for it: by itself, by a broken connection, when it is stopped.
"""
_BEFORE_TEXT = 2
"""Events before the first delta."""


def expected_text(question: str) -> str:
    """The answer to a question; no two places in it are the same, and characters are of one to four bytes."""
    return "".join(_pieces(question))


def _pieces(question: str) -> list[str]:
    return [f"{question} {number} é漢🙂, " for number in range(PIECES)]


def _events(question: str) -> list[Mapping[str, Any]]:
    message: dict[str, Any] = {
        "id": "message",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "chaos",
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }
    deltas: Sequence[Mapping[str, Any]] = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
        for piece in _pieces(question)
    ]
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": PIECES}},
        {"type": "message_stop"},
    ]


def _question(request: ReplayedRequest) -> str:
    content: Any = request.json["messages"][-1]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


def _answer(question: str) -> Reply:
    events, middle = _events(question), _BEFORE_TEXT + PIECES // 2
    match question.rpartition(" ")[2]:
        case "cut":
            return Reply(events=events, delay=SECONDS_BETWEEN, cut_after=middle)
        case "held":
            return Reply(events=events, delay=SECONDS_BETWEEN, hold_after=middle)
        case _:
            return Reply(events=events, delay=SECONDS_BETWEEN)


def _count(calls: Sequence[ReplayedRequest]) -> Mapping[str, int]:
    ended = sum(call.is_complete for call in calls)
    aborted = sum(call.is_aborted for call in calls)
    return {"calls": len(calls), "ended": ended, "cancelled": aborted, "open": len(calls) - ended - aborted}


def main() -> None:
    """Serve until told to stop."""

    def reply(request: ReplayedRequest) -> Reply:
        if request.path == CALLS_PATH:
            calls = [call for call in server.requests if call.path != CALLS_PATH]
            return Reply(body=json.dumps(_count(calls)).encode())
        return _answer(_question(request))

    signals = (signal.SIGINT, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with ReplayServer(reply) as server:
        print(f"listens on {server.url}", flush=True)  # noqa: T201
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
