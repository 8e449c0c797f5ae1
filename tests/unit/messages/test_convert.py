"""UI messages to model messages: every part, every state, every major."""

from typing import Any

import pytest

from usechat.errors import RequestError
from usechat.messages.convert import convert_to_model_messages
from usechat.messages.model import (
    AssistantMessage,
    CustomContent,
    FileContent,
    ModelMessage,
    ReasoningContent,
    SystemMessage,
    TextContent,
    ToolApprovalRequestContent,
    ToolApprovalResponseContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserMessage,
)
from usechat.messages.ui import UIMessage

Json = Any
CACHED = {"anthropic": {"cacheControl": {"type": "ephemeral"}}}


def convert(*messages: Json, **options: Any) -> list[ModelMessage]:
    return convert_to_model_messages([UIMessage.model_validate(message) for message in messages], **options)


def user(*parts: Json) -> Json:
    return {"role": "user", "parts": list(parts)}


def assistant(*parts: Json) -> Json:
    return {"role": "assistant", "parts": list(parts)}


def text(words: str, **more: Json) -> Json:
    return {"type": "text", "text": words, **more}


def tool(state: str, **more: Json) -> Json:
    return {"type": "tool-t", "toolCallId": "1", "state": state, "input": {"a": 1}, **more}


def call(**more: Any) -> ToolCallContent:
    fields: dict[str, Any] = {"tool_call_id": "1", "tool_name": "t", "input": {"a": 1}, **more}
    return ToolCallContent(**fields)


def result(kind: Any, value: Any, **more: Any) -> ToolResultContent:
    return ToolResultContent(tool_call_id="1", tool_name="t", output=ToolResultOutput(kind, value), **more)


@pytest.mark.parametrize(
    ("part", "content"),
    [
        (text("hi", providerMetadata=CACHED), (TextContent("hi", CACHED),)),
        (text(""), ()),
        ({"type": "data-x", "data": 1}, ()),
        ({"type": "source-url", "sourceId": "1", "url": "https://a"}, ()),
        (
            {"type": "file", "mediaType": "image/png", "filename": "a", "url": "https://a.b/c.png"},
            (FileContent(media_type="image/png", url="https://a.b/c.png", filename="a"),),
        ),
        (
            {"type": "file", "url": "https://A.b"},
            (FileContent(media_type="application/octet-stream", url="https://a.b/"),),
        ),
        (
            {"type": "file", "url": "https://a.b/c.gif?x=1"},
            (FileContent(media_type="image/gif", url="https://a.b/c.gif?x=1"),),
        ),
        (
            {"type": "file", "mediaType": "application/pdf", "providerReference": {"anthropic": "file_1", "x": 5}},
            (FileContent(media_type="application/pdf", provider_reference={"anthropic": "file_1"}),),
        ),
    ],
)
def test_what_a_user_says(part: Json, content: Json):
    assert convert(user(part)) == [UserMessage(content)]


@pytest.mark.parametrize(
    ("url", "media_type", "data"),
    [
        ("data:text/plain;base64,aGk=", "text/plain", "aGk="),
        ("data:text/plain,hi%20you", "text/plain", "aGkgeW91"),
        ("data:text/plain;charset=utf-8;base64,aGk", "text/plain", "aGk="),
        ("data:;base64,aGk=", "text/csv", "aGk="),
        ("DATA:text/plain;base64,aGk%3D", "text/plain", "aGk="),
        ("data:text/plain;base64,-_ 8=", "text/plain", "+/8="),
        ("data:image/jpeg;base64,iVBORw0KGgo=", "image/png", "iVBORw0KGgo="),
        ("data:image/*;base64,/9j/4AAQ", "image/jpeg", "/9j/4AAQ"),
    ],
)
def test_data_urls_are_read(url: str, media_type: str, data: str):
    part = {"type": "file", "mediaType": "Text/CSV; header=present", "url": url}
    assert convert(user(part)) == [UserMessage((FileContent(media_type=media_type, data=data),))]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "javascript:alert(1)",
        "https://",
        "https://[",
        "no url",
        "data:text/plain",
        "data:text/plain;base64,a!",
        "data:text/plain;base64,abcde",
    ],
)
def test_other_urls_are_refused_with_their_place(url: str):
    with pytest.raises(RequestError) as caught:
        convert(assistant(), user(text("look"), {"type": "file", "mediaType": "image/png", "url": url}))
    assert (caught.value.status, caught.value.path) == (422, "messages[1].parts[1].url")
    assert url not in str(caught.value)


def test_http_urls_can_be_allowed():
    [message] = convert(user({"type": "file", "mediaType": "image/png", "url": "http://a/b"}), allow_http=True)
    assert message == UserMessage((FileContent(media_type="image/png", url="http://a/b"),))


def test_an_unreadable_file_of_the_assistant_is_left_out():
    unreadable = {"type": "file", "mediaType": "image/png", "url": "blob:x"}
    assert convert(assistant(unreadable)) == []
    readable = {"type": "file", "mediaType": "image/png", "url": "https://a/b"}
    assert convert(assistant(readable)) == [AssistantMessage((FileContent(media_type="image/png", url="https://a/b"),))]


def test_data_parts_reach_the_model_through_a_converter():
    def show(part: Json) -> TextContent | None:
        return TextContent(str(part["data"])) if part["type"] == "data-city" else None

    parts = [{"type": "data-city", "data": "Paris"}, {"type": "data-other", "data": 1}]
    assert convert(user(*parts), assistant(*parts), convert_data_part=show) == [
        UserMessage((TextContent("Paris"),)),
        AssistantMessage((TextContent("Paris"),)),
    ]


def test_system_messages_of_a_client_count_only_where_allowed():
    message = {"role": "system", "parts": [text("be "), text("kind", providerMetadata=CACHED), {"type": "data-x"}]}
    assert convert(message) == []
    assert convert(message, allow_system=True) == [SystemMessage("be kind", CACHED)]
    assert convert({"role": "system", "parts": []}, allow_system=True) == []


def test_messages_of_the_data_role_are_ignored():
    assert convert({"role": "data", "content": "x"}) == []


def test_each_step_is_a_message_and_so_is_what_its_tools_answered():
    steps = assistant(
        {"type": "step-start"},
        {"type": "reasoning", "text": "why", "providerMetadata": {"anthropic": {"signature": "s"}, "odd": 5}},
        tool("output-available", output={"b": None}),
        {"type": "step-start"},
        {"type": "custom", "kind": "anthropic.thing", "providerMetadata": CACHED},
        {"type": "reasoning-file", "url": "https://a"},
        text("done"),
    )
    assert convert(steps) == [
        AssistantMessage((ReasoningContent("why", {"anthropic": {"signature": "s"}}), call())),
        ToolMessage((result("json", {"b": None}),)),
        AssistantMessage((CustomContent("anthropic.thing", CACHED), TextContent("done"))),
    ]


def test_a_steering_message_is_the_users_between_two_steps():
    steering = {"type": "steering-message", "id": "s", "parts": [text("hurry")]}
    assert convert(assistant(text("a"), steering, text("b"))) == [
        AssistantMessage((TextContent("a"),)),
        UserMessage((TextContent("hurry"),)),
        AssistantMessage((TextContent("b"),)),
    ]


@pytest.mark.parametrize(
    ("part", "output"),
    [
        (tool("output-available", output="words"), ToolResultOutput("text", "words")),
        (tool("output-available", output=None), ToolResultOutput("json", None)),
        (tool("output-available"), ToolResultOutput("json", None)),
        (tool("output-error", errorText="Error: no"), ToolResultOutput("error-text", "Error: no")),
        (tool("output-error"), ToolResultOutput("error-text", "unknown error")),
        (tool("output-error", errorText=""), ToolResultOutput("error-text", "The tool failed.")),
        (tool("output-error", errorText=" \n"), ToolResultOutput("error-text", "The tool failed.")),
        (tool("output-denied"), ToolResultOutput("execution-denied")),
        (
            {**tool("output-available", output=1, toolName="t", dynamic=False), "type": "dynamic-tool"},
            ToolResultOutput("text", "Tool output omitted because the tool is no longer available."),
        ),
        ({**tool("output-available", output=1, toolName="t"), "type": "dynamic-tool"}, ToolResultOutput("json", 1)),
    ],
)
def test_results_of_tools(part: Json, output: ToolResultOutput):
    expected = ToolResultContent(tool_call_id="1", tool_name="t", output=output)
    assert convert(assistant(part)) == [AssistantMessage((call(),)), ToolMessage((expected,))]


def test_a_tool_can_say_what_the_model_sees_of_its_output():
    def show(made: ToolCallContent, output: Any) -> ToolResultOutput | None:
        return ToolResultOutput("text", f"{made.tool_name}: {output}") if output == 1 else None

    shown = [convert(assistant(tool("output-available", output=value)), convert_tool_output=show) for value in (1, 2)]
    assert [messages[1] for messages in shown] == [
        ToolMessage((result("text", "t: 1"),)),
        ToolMessage((result("json", 2),)),
    ]


def test_input_that_was_never_whole_is_left_out():
    assert convert(assistant(tool("input-streaming", rawInput='{"a'), {"type": "tool-t", "toolCallId": "2"})) == []


def test_input_that_could_not_be_read_goes_back_empty_as_within_its_answer():
    part = {**tool("output-error", errorText="bad", rawInput='{"a'), "input": None}
    [message, _] = convert(assistant(part))
    assert message == AssistantMessage((call(input={}),))


def test_an_abandoned_call_stays_unless_it_is_not_wanted():
    abandoned = assistant(tool("input-available"))
    assert convert(abandoned) == [AssistantMessage((call(),))]
    assert convert(abandoned, ignore_incomplete_tool_calls=True) == []
    preliminary = assistant(tool("output-available", output=1, preliminary=True))
    assert convert(preliminary, ignore_incomplete_tool_calls=True) == []


def test_provider_metadata_of_calls_and_results():
    other = {"anthropic": {"x": {"y": 1}}}
    done = tool("output-available", output=1, callProviderMetadata=CACHED, resultProviderMetadata=other)
    assert convert(assistant(done)) == [
        AssistantMessage((call(provider_options=CACHED),)),
        ToolMessage((result("json", 1, provider_options=CACHED),)),
    ]
    failed = tool("output-error", errorText="no", resultProviderMetadata=other)
    assert convert(assistant(failed))[0] == AssistantMessage((call(provider_options=other),))


def test_what_a_provider_ran_stays_within_the_answer():
    done = tool("output-available", output=[], providerExecuted=True, callProviderMetadata=CACHED)
    failed = tool("output-error", errorText="no", providerExecuted=True)
    ran = call(provider_executed=True)
    assert convert(assistant(done, text("so"))) == [
        AssistantMessage(
            (
                call(provider_executed=True, provider_options=CACHED),
                result("json", [], provider_options=CACHED),
                TextContent("so"),
            )
        )
    ]
    assert convert(assistant(failed)) == [AssistantMessage((ran, result("error-json", "no")))]


# Approvals


def test_a_request_that_the_user_did_not_answer_stays_with_all_that_was_said():
    asked = assistant(
        {"type": "reasoning", "text": "Hm"},
        text("May I?"),
        tool(
            "approval-requested",
            approval={"id": "ap", "signature": "sig", "requestReason": "why", "inputSchemaInput": None},
        ),
    )
    request = ToolApprovalRequestContent(
        approval_id="ap", tool_call_id="1", signature="sig", reason="why", input_schema_input=None
    )
    unanswered = "The user was asked to approve this tool call and did not answer. It was not carried out."
    said = (ReasoningContent("Hm"), TextContent("May I?"))
    expected = [
        AssistantMessage((*said, call(), request)),
        ToolMessage((result("execution-denied", unanswered),)),
    ]
    assert convert(asked) == expected
    assert convert(asked, user(text("b"))) == [*expected, UserMessage((TextContent("b"),))]
    assert convert(asked, ignore_incomplete_tool_calls=True) == [AssistantMessage(said)]


def test_the_providers_own_call_is_not_answered_in_its_place():
    asked = assistant(tool("approval-requested", providerExecuted=True, approval={"id": "ap"}))
    assert [type(message) for message in convert(asked, user(text("b")))] == [AssistantMessage, UserMessage]


@pytest.mark.parametrize("of_provider", [{}, {"providerExecuted": True}])
def test_a_preliminary_output_is_no_result(of_provider: Json):
    stopped = assistant(tool("output-available", output=[1], preliminary=True, **of_provider))
    assert convert(stopped) == [AssistantMessage((call(provider_executed=of_provider.get("providerExecuted")),))]


def test_a_granted_request_waits_for_the_loop():
    granted = assistant(tool("approval-responded", approval={"id": "ap", "approved": True, "isAutomatic": True}))
    assert convert(granted) == [
        AssistantMessage(
            (call(), ToolApprovalRequestContent(approval_id="ap", tool_call_id="1", is_automatic=True)),
        ),
        ToolMessage((ToolApprovalResponseContent(approval_id="ap", approved=True),)),
    ]


@pytest.mark.parametrize(
    ("state", "kind", "value", "reason"),
    [
        ("approval-responded", "execution-denied", None, None),
        ("approval-responded", "execution-denied", "no", "no"),
        ("output-denied", "execution-denied", "no", "no"),
    ],
)
def test_a_denied_request_has_its_result(state: str, kind: str, value: str | None, reason: str | None):
    approval = {"id": "ap", "approved": False, **({"reason": reason} if reason else {})}
    assert convert(assistant(tool(state, approval=approval)))[1] == ToolMessage(
        (ToolApprovalResponseContent(approval_id="ap", approved=False, reason=reason), result(kind, value))
    )


def test_a_decision_on_what_the_provider_would_run_goes_to_the_provider():
    denied = tool("output-denied", approval={"id": "ap", "approved": False}, providerExecuted=True)
    assert convert(assistant(denied))[1] == ToolMessage(
        (ToolApprovalResponseContent(approval_id="ap", approved=False, provider_executed=True),)
    )


def test_a_mangled_decision_is_none():
    assert convert(assistant(tool("approval-responded", approval={"id": "ap", "approved": "yes", "reason": 5}))) == [
        AssistantMessage((call(), ToolApprovalRequestContent(approval_id="ap", tool_call_id="1")))
    ]
