"""What a route answers, and what it may add to its answer."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import BackgroundTasks, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.testclient import TestClient
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint

from tests.unit.http.connections import BODY, answering, app_of, chunks, post, types
from usechat import ChatRequest, CompletionRequest, FinishEvent, StreamingAnswer, step_count_is, stream_text, tool
from usechat.errors import ConfigurationError, ProviderError
from usechat.http.new_run import known_ids
from usechat.parts import ModelPart, ReasoningDelta, ReasoningEnd, ReasoningStart
from usechat.testing.models import ScriptedModel, Step, calling_tool, saying

pytestmark = pytest.mark.anyio

BODY_4: dict[str, Any] = {
    "id": "chat-1",
    "messages": [{"role": "user", "content": "Hi", "parts": [{"type": "text", "text": "Hi"}]}],
}

BODY_3: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}


# The answer


def test_five_lines_are_a_backend():
    app = FastAPI()
    model = ScriptedModel(saying("Hello"))

    @app.post("/api/chat")
    async def chat(chat: ChatRequest):
        return stream_text(model, system="You are a helpful assistant.", messages=chat.messages).response(chat)

    response = post(app)
    assert response.status_code == 200
    assert types(response.text) == [
        "start", "start-step", "text-start", "text-delta", "text-end", "finish-step", "finish",
    ]  # fmt: skip
    assert model.calls[0].system == "You are a helpful assistant."


def test_headers_are_the_formats():
    headers = post(answering(saying("Hi"))).headers
    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert "content-length" not in headers


@pytest.mark.parametrize(
    ("body", "headers", "options", "start"),
    [
        (BODY, {}, {}, ": stream-open\n\ndata: "),
        (BODY_4, {}, {}, 'f:{"messageId":'),
        (BODY_3, {}, {}, '0:"Hello"\n'),
        (BODY, {"x-usechat-sdk": "4.3.19"}, {}, 'f:{"messageId":'),
        (BODY, {"x-usechat-sdk": "4"}, {}, '0:"Hello"\ne:{"finishReason":'),
        (BODY, {}, {"sdk": 3.4}, '0:"Hello"\ne:{"finishReason":'),
        (BODY, {}, {"sdk": 3}, '0:"Hello"\n'),
        (BODY, {}, {"sdk": 2}, "Hello"),
        (BODY, {}, {"wire_format": "text-stream"}, "Hello"),
        (BODY, {}, {"wire_format": "events"}, ': stream-open\n\ndata: {"text":"Hello"}'),
    ],
)
def test_answer_is_in_the_protocol_of_whoever_asked(body: Any, headers: Any, options: Any, start: str):
    assert post(answering(saying("Hello"), **options), body, headers=headers).text.startswith(start)


@pytest.mark.parametrize(
    ("body", "named", "value"),
    [
        (BODY_3, None, "true"),
        (BODY_3, "3", "true"),
        (BODY_3, "3.0.19", "true"),
        (BODY_3, "3.0.20", None),
        (BODY_4, None, None),
    ],
)
def test_a_client_before_3_0_20_is_told_that_it_gets_lines(body: Any, named: str | None, value: str | None):
    response = post(answering(saying("Hi")), body, headers={"x-usechat-sdk": named} if named else {})
    assert response.headers.get("x-experimental-stream-data") == value


def test_completion_is_answered():
    app = FastAPI()

    @app.post("/api/completion")
    async def complete(completion: CompletionRequest) -> StreamingAnswer:
        return stream_text(ScriptedModel(saying("Hello")), prompt=completion.prompt).response(completion)

    with TestClient(app) as client:
        assert types(client.post("/api/completion", json={"prompt": "Hi"}).text)[-1] == "finish"
        assert client.post("/api/completion", json={"prompt": " "}).status_code == 400


@pytest.mark.parametrize("options", [{}, {"message_id": False}])
def test_message_keeps_the_clients_id(options: Any):
    assert chunks(post(answering(saying("Hi"), **options)).text)[0] == {"type": "start"}


def test_message_may_be_given_an_id():
    given = chunks(post(answering(saying("Hi"), message_id="m1")).text)[0]
    made = chunks(post(answering(saying("Hi"), message_id=lambda: "m2")).text)[0]
    random = chunks(post(answering(saying("Hi"), message_id=True)).text)[0]
    assert given["messageId"] == "m1"
    assert made["messageId"] == "m2"
    assert random["messageId"].startswith("msg-")


def reasoning_twice() -> tuple[Step, Step]:
    thought: list[ModelPart] = [ReasoningStart("0"), ReasoningDelta("0", "Hm"), ReasoningEnd("0")]
    return [thought, *calling_tool("look")], [thought, *saying("Done")]


@pytest.mark.parametrize("sdk", ["auto", "5.0.277", "6.0.324", "7.0.173"])
def test_saved_message_has_the_ids_that_the_client_has(sdk: str):
    heard: list[FinishEvent] = []

    async def look() -> str:
        return "seen"

    def answer(chat: Any) -> StreamingAnswer:
        model = ScriptedModel(*reasoning_twice())
        result = stream_text(model, messages=chat.messages, tools=[tool(look)], stop_when=step_count_is(2),
                             on_finish=heard.append)  # fmt: skip
        return result.response(chat, sdk=sdk)

    sent = chunks(post(app_of(answer)).text)
    shown = [chunk["id"] for chunk in sent if chunk["type"] == "reasoning-start"]
    saved = [part["id"] for part in heard[0].ui_message["parts"] if part["type"] == "reasoning"]
    assert shown == saved
    assert len(set(shown)) == (1 if sdk.startswith("5.") else 2)


def test_continuation_keeps_its_id():
    assistant = {"id": "a1", "role": "assistant", "parts": [{"type": "text", "text": "Before."}]}
    body = {**BODY, "messages": [*BODY["messages"], assistant]}
    finished: list[FinishEvent] = []
    app = app_of(
        lambda chat: stream_text(
            ScriptedModel(saying("After.")), messages=chat.messages, on_finish=finished.append
        ).response(chat, message_id=True)
    )
    assert chunks(post(app, body).text)[0]["messageId"] == "a1"
    assert finished[0].is_continuation
    assert [part["text"] for part in finished[0].ui_message["parts"] if part["type"] == "text"] == ["Before.", "After."]


USER: dict[str, Any] = BODY["messages"][0]
QUESTION: dict[str, Any] = {"id": "u2", "role": "user", "parts": [{"type": "text", "text": "And?"}]}
ANSWER: dict[str, Any] = {"id": "a1", "role": "assistant", "parts": [{"type": "text", "text": "Before."}], "x": None}


@pytest.mark.parametrize(
    ("body", "earlier", "texts"),
    [
        ({"messages": [USER, ANSWER, QUESTION]}, [USER, ANSWER, QUESTION], ["After."]),
        ({"messages": [USER, ANSWER]}, [USER], ["Before.", "After."]),
        ({"messages": [USER, ANSWER], "trigger": "regenerate-message"}, [USER, ANSWER], ["After."]),
        ({"message": QUESTION}, [QUESTION], ["After."]),
    ],
    ids=["new answer", "continued answer", "second answer", "last message only"],
)
def test_end_tells_the_whole_list(body: Any, earlier: Any, texts: list[str]):
    finished: list[FinishEvent] = []
    app = app_of(
        lambda chat: stream_text(
            ScriptedModel(saying("After.")), messages=chat.posted, on_finish=finished.append
        ).response(chat)
    )
    post(app, {"id": "c", "trigger": "submit-message", **body})
    *others, last = finished[0].messages
    assert others == earlier
    assert last == finished[0].ui_message
    assert [part["text"] for part in last["parts"] if part["type"] == "text"] == texts


def test_answer_that_says_nothing_adds_no_message():
    finished: list[FinishEvent] = []
    model = ScriptedModel([ProviderError("It is away.", provider="scripted")])
    app = app_of(lambda chat: stream_text(model, messages=chat.messages, on_finish=finished.append).response(chat))
    post(app, {**BODY, "messages": [USER]})
    assert finished[0].messages == [USER]


def test_answer_without_a_request_tells_its_own_message():
    finished: list[FinishEvent] = []
    app = app_of(
        lambda chat: stream_text(
            ScriptedModel(saying("Hi")), messages=chat.messages, on_finish=finished.append
        ).response()
    )
    post(app)
    assert finished[0].messages == [finished[0].ui_message]


def test_known_ids_are_those_of_the_continued_message():
    parts = [
        {"type": "text", "text": "x"},
        {"type": "tool-x", "toolCallId": "c1", "approval": {"id": "a1"}},
        {"type": "tool-x", "toolCallId": "c2", "approval": None},
        {"type": "tool-x", "toolCallId": 7},
    ]
    assert known_ids({"parts": parts}) == {
        "known_tool_calls": frozenset({"c1", "c2"}),
        "known_approvals": frozenset({"a1"}),
    }
    assert known_ids(None) == {}


def test_wrong_option_is_refused_where_it_is_given():
    options: Any = {"send_nothing": True}
    with pytest.raises(ConfigurationError, match="no option 'send_nothing'"):
        stream_text(ScriptedModel(saying("Hi")), prompt="Hi").response(**options)


# What a route may add


def test_headers_and_cookies_of_the_route_are_sent():
    def make(chat: Any) -> StreamingAnswer:
        response = stream_text(ScriptedModel(saying("Hi")), messages=chat.messages).response(
            chat, headers={"X-Own": "1", "X-Accel-Buffering": None}
        )
        response.set_cookie("session", "abc")
        response.headers["cache-control"] = "no-store"
        response.status_code = 201
        return response

    response = post(app_of(make))
    assert response.status_code == 201
    assert response.cookies["session"] == "abc"
    assert response.headers["x-own"] == "1"
    assert response.headers.get_list("cache-control") == ["no-store"]
    assert "x-accel-buffering" not in response.headers


@pytest.mark.parametrize("is_own", [True, False])
def test_background_task_runs_after_the_answer(is_own: bool):
    ran: list[str] = []
    app = FastAPI()

    @app.post("/api/chat")
    async def chat(chat: ChatRequest, background: BackgroundTasks) -> StreamingAnswer:
        finished = stream_text(
            ScriptedModel(saying("Hi")), messages=chat.messages, on_finish=lambda event: ran.append("finish")
        )
        response = finished.response(chat)
        if is_own:
            response.background = BackgroundTask(ran.append, "background")
        else:
            background.add_task(ran.append, "background")
        return response

    post(app)
    assert ran == ["finish", "background"]


def test_head_makes_no_answer():
    model = ScriptedModel(saying("Hi"))
    app = FastAPI()

    @app.api_route("/api/chat", methods=["HEAD", "POST"])
    async def chat() -> StreamingAnswer:
        return stream_text(model, prompt="Hi").response()

    with TestClient(app) as client:
        response = client.head("/api/chat")
    assert response.headers["content-type"] == "text/event-stream"
    assert model.calls == []


@pytest.mark.parametrize("body", [BODY, BODY_4])
def test_middleware_changes_nothing_that_matters(body: Any):
    app = answering(saying("Hello"))

    async def passing(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        response.headers["x-passed"] = "1"
        return response

    plain = post(answering(saying("Hello")), body)
    app.add_middleware(BaseHTTPMiddleware, dispatch=passing)
    app.add_middleware(GZipMiddleware, minimum_size=1)
    app.add_middleware(CORSMiddleware, allow_origins=["https://page.example"])
    response = post(app, body, headers={"origin": "https://page.example", "accept-encoding": "gzip"})
    assert response.headers["x-passed"] == "1"
    assert response.headers["access-control-allow-origin"] == "https://page.example"
    assert len(response.text) == len(plain.text)
