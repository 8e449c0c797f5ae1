"""Approvals are signed and checked as the AI SDK does it: its own code, in node, takes ours, and ours takes its."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.node import NodeProgram
from usechat.tools.approvals import canonical_json, sign, verify

SCRIPT = Path(__file__).parent / "js" / "approvals.mjs"
SECRET = "a secret of sixteen letters"
INPUTS: list[dict[str, Any]] = [
    {},
    {"path": "/tmp/x", "force": True},
    {"b": [1, {"d": None, "c": 'é\u2028\u0000"\\'}], "a": -0.5, "10": 1, "9": 2},
    {"é": 1, "z": 2, "\U0001f600": 3, "\ufb33": 4},
    {"size": 12345678901234567890, "tiny": 1e-7, "whole": 3.0},
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProgram]:
    program = NodeProgram(SCRIPT, log=tmp_path_factory.mktemp("approvals") / "node.log")
    yield program
    program.close()


def numbers() -> list[float | int]:
    """Every exponent with a few mantissas each, the edges between JavaScript's ways to write one, and big integers."""
    source = random.Random(7)
    patterns = [(source.getrandbits(1) << 63) | (exponent << 52) | bits for exponent in range(2047)
                for bits in (0, source.getrandbits(52))]  # fmt: skip
    floats = [struct.unpack("<d", struct.pack("<Q", pattern))[0] for pattern in patterns]
    edges = [10.0**power * factor for power in range(-9, 24) for factor in (1, 0.1, 1.5, 9.999999999999999, -3)]
    whole = [source.choice((-1, 1)) * source.getrandbits(bits) for bits in range(1, 200)]
    return [*floats, *edges, *whole, 0, -0.0, 2**53, 2**53 + 1]


def test_numbers_are_written_as_javascript_writes_them(node: NodeProgram):
    texts = [json.dumps(number) for number in numbers()]
    assert [canonical_json(json.loads(text)) for text in texts] == node.ask("stringify", texts=texts)


def test_strings_are_written_as_javascript_writes_them(node: NodeProgram):
    letters = [*map(chr, range(0x300)), "\u2028", "\u2029", "\ufeff", "\ud800", "\udfffx", "\U0001f600", "\uffff"]
    texts = [json.dumps(letter + "é") for letter in letters]
    assert [canonical_json(json.loads(text)) for text in texts] == node.ask("stringify", texts=texts)


@pytest.mark.parametrize("input", INPUTS)
def test_the_sdk_signs_as_we_do(node: NodeProgram, input: dict[str, Any]):
    call = {"toolCallId": "toolu_1", "toolName": "delete_file", "input": input}
    asked = node.ask("ask", secret=SECRET, **call)
    named: dict[str, Any] = {"tool_call_id": "toolu_1", "tool_name": "delete_file", "input": input}
    fields: dict[str, Any] = {"approval_id": asked["approvalId"], **named}
    assert asked["signature"] == sign(SECRET, **fields)
    assert verify(SECRET, asked["signature"], **fields)


@pytest.mark.parametrize("input", INPUTS)
def test_the_sdk_runs_what_we_have_signed(node: NodeProgram, input: dict[str, Any]):
    signature = sign(SECRET, approval_id="a1", tool_call_id="toolu_1", tool_name="delete_file", input=input)
    call = {"toolCallId": "toolu_1", "toolName": "delete_file", "input": input}
    answer = node.ask("answer", secret=SECRET, approvalId="a1", signature=signature, **call)
    assert answer["error"] is None
    assert canonical_json(answer["ran"]) == canonical_json(input)


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": None},
        {"approvalId": "a2"},
        {"toolCallId": "toolu_2"},
        {"toolName": "rm"},
        {"input": {"path": "/"}},
    ],
)
def test_what_the_sdk_refuses_we_refuse(node: NodeProgram, changes: dict[str, Any]):
    given: dict[str, Any] = {"approvalId": "a1", "toolCallId": "toolu_1", "toolName": "delete_file", "input": {}}
    named = {"approval_id": "approvalId", "tool_call_id": "toolCallId", "tool_name": "toolName", "input": "input"}
    signature = sign(SECRET, **{ours: given[theirs] for ours, theirs in named.items()})
    answer = node.ask("answer", secret=SECRET, **{"signature": signature, **given, **changes})
    assert answer["ran"] is None
    assert "AI_InvalidToolApprovalSignatureError" in answer["error"]
    changed = {ours: {**given, **changes}[theirs] for ours, theirs in named.items()}
    assert "signature" in changes or not verify(SECRET, signature, **changed)
