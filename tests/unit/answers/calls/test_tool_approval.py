"""`tool_approval`: one policy for all tools of an answer."""

from __future__ import annotations

from typing import Any

import pytest

from usechat import Agent, Approve, AskUser, Deny, ToolContext, step_count_is, stream_text, tool
from usechat.errors import ConfigurationError
from usechat.messages.model import ToolMessage
from usechat.messages.ui import UIMessage
from usechat.parts import ToolApprovalRequest, ToolOutputAvailable, ToolOutputDenied
from usechat.testing.models import ScriptedModel, calling_tool, saying

pytestmark = pytest.mark.anyio


@tool
async def read(path: str) -> str:
    """Read a file."""
    return f"{path} read"


@tool(needs_approval=True)
async def delete(path: str) -> str:
    """Delete a file."""
    return f"{path} deleted"


async def kinds(name: str, policy: Any, path: str = "a") -> list[str]:
    model = ScriptedModel(calling_tool(name, {"path": path}), saying("Done."))
    agent = Agent(model, tools=[read, delete], tool_approval=policy, stop_when=step_count_is(1), context="Ada")
    shown: dict[type, str] = {ToolApprovalRequest: "asked", ToolOutputDenied: "denied", ToolOutputAvailable: "ran"}
    return [
        shown[type(part)]
        async for part in agent.stream("Go")
        if type(part) in shown and not getattr(part, "is_automatic", False)
    ]


async def by_context(value: Any, context: ToolContext[str]) -> Any:
    if context.deps != "Ada":
        return Deny()
    return {"a": None, "b": AskUser(), "c": Deny("no"), "d": Approve()}[value["path"]]


@pytest.mark.parametrize(
    ("name", "policy", "path", "outcome"),
    [
        ("read", None, "a", ["ran"]),
        ("delete", None, "a", ["asked"]),
        ("read", {"read": True}, "a", ["asked"]),
        ("delete", {"delete": False}, "a", ["ran"]),
        ("delete", {"read": False}, "a", ["asked"]),
        ("read", {"read": Deny("no")}, "a", ["denied"]),
        ("read", by_context, "a", ["ran"]),
        ("delete", by_context, "a", ["asked"]),
        ("read", by_context, "b", ["asked"]),
        ("delete", by_context, "c", ["denied"]),
        ("delete", by_context, "d", ["ran"]),
    ],
)
async def test_policy_goes_before_what_the_tool_says(name: str, policy: Any, path: str, outcome: list[str]):
    assert await kinds(name, policy, path) == outcome


async def test_policy_that_denies_meanwhile_goes_before_the_users_approval():
    model = ScriptedModel(calling_tool("delete", {"path": "a"}), saying("Done."))
    asked = await stream_text(model, prompt="Go", tools=[delete]).ui_message
    part = next(part for part in asked["parts"] if part["type"] == "tool-delete")
    approved = {**part, "state": "approval-responded", "approval": {**part["approval"], "approved": True}}
    message = UIMessage.model_validate({"id": "a1", "role": "assistant", "parts": [approved]})
    question = UIMessage.model_validate({"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Go"}]})
    answer = stream_text(
        model, messages=[question, message], tools=[delete], tool_approval=lambda value, context: Deny("not now")
    )
    assert await answer.text == "Done."
    result = model.calls[-1].messages[-1]
    assert isinstance(result, ToolMessage)
    assert "execution-denied" in repr(result)


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ("always", "tool_approval must be a function of the input and the context, or a mapping of tools' names"),
        ({"fly": True}, "tool_approval names 'fly', and there is no such tool"),
    ],
)
def test_what_is_no_policy_is_refused(policy: Any, why: str):
    with pytest.raises(ConfigurationError, match=why):
        Agent(ScriptedModel(saying("Hi")), tools=[read], tool_approval=policy)
