"""What the model reads of a call for which a text is kept beside the saved message."""

from __future__ import annotations

from typing import Any

import pytest

from usechat.chats.tool_errors import show_model, split_tool_errors, with_tool_errors

TEXT = "The tool call was not carried out."
TOLD: dict[str, Any] = {"type": "tool-t", "toolCallId": "c", "state": "output-error", "input": {}, "errorText": TEXT}


def call(state: str, **fields: Any) -> dict[str, Any]:
    return {"type": "tool-t", "toolCallId": "c", "state": state, "input": {}, **fields}


@pytest.mark.parametrize(
    "part",
    [
        call("output-error", errorText="An error occurred."),
        call("input-available"),
        call("output-available", output=1, preliminary=True),
    ],
)
def test_the_text_that_is_kept_is_told(part: dict[str, Any]):
    kept = with_tool_errors({"id": "a", "parts": [part]}, {"c": TEXT})
    assert show_model(kept) == {"id": "a", "parts": [TOLD]}
    assert split_tool_errors(kept) == ({"id": "a", "parts": [part]}, {"c": TEXT})


@pytest.mark.parametrize(
    "part",
    [
        call("output-available", output=1),
        call("approval-responded", approval={"id": "ap", "approved": True}),
        {**call("input-available"), "toolCallId": "other"},
        {"type": "text", "text": "Hm"},
    ],
)
def test_a_call_that_went_on_is_told_as_it_is(part: dict[str, Any]):
    kept = with_tool_errors({"id": "a", "parts": [part]}, {"c": TEXT})
    assert show_model(kept) == {"id": "a", "parts": [part]}
