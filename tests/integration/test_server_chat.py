"""The chat routes of a running server, with a replayed model behind it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.running_server import serving
from tests.support.waiting import AT_ONCE
from usechat.failures import WORDS
from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply
from usechat.testing.streams import read_events

QUESTION_4 = {"role": "user", "content": "When is high water?"}
V4 = {"id": "chat-4", "messages": [{**QUESTION_4, "parts": [{"type": "text", "text": "When is high water?"}]}]}
V5 = {
    "id": "chat",
    "trigger": "submit-message",
    "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "When is high water?"}]}],
}
TEXT = "High water is at 14:20 in Whitby."
AFTER_FIRST_DELTA = [index for index, event in enumerate(read_events("text")) if "text_delta" in event][1]
# The anthropic package would try again, with a pause before each time.
ONCE = {"x-should-retry": "false"}


class Upstream:
    """The replayed model; each test says what it answers."""

    def __init__(self) -> None:
        self.reply = Reply("text")
        self.server = ReplayServer(self.answer)

    def answer(self, _request: ReplayedRequest) -> Reply:
        return self.reply

    @property
    def last(self) -> ReplayedRequest:
        return self.server.requests[-1]


@pytest.fixture(scope="module")
def running_upstream() -> Generator[Upstream]:
    upstream = Upstream()
    with upstream.server:
        yield upstream


@pytest.fixture
def upstream(running_upstream: Upstream) -> Upstream:
    running_upstream.reply = Reply("text")
    return running_upstream


def variables(upstream: Upstream) -> dict[str, str]:
    # Chats are not kept: with that, a chat has one answer at a time, and these tests know one chat only.
    return {
        "ANTHROPIC_API_KEY": "unused",
        "ANTHROPIC_BASE_URL": upstream.server.url,
        "USECHAT_DATABASE_URL": "off",
    }


@pytest.fixture(scope="module")
def client(running_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Generator[httpx.Client]:
    """Of a server with its defaults."""
    with serving(tmp_path_factory.mktemp("server"), **variables(running_upstream)) as server:
        yield server.client


@pytest.fixture(scope="module")
def tuned(running_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Generator[httpx.Client]:
    """Of a server with settings of its own."""
    settings = {
        "USECHAT_MODEL": "model-one",
        "USECHAT_MODELS": "model-two,model-three",
        "USECHAT_PRICES": "model-two=3/15,model-four=1/1",
        "USECHAT_SYSTEM_PROMPT": "You are the harbour master.",
        "USECHAT_MAX_OUTPUT_TOKENS": "77",
        "USECHAT_HEARTBEAT": "0.05",
        "USECHAT_ERROR_DETAIL": "true",
        "USECHAT_MAX_BODY_BYTES": "5000",
        "USECHAT_SDK": "7.0.173",
    }
    with serving(tmp_path_factory.mktemp("tuned"), **variables(running_upstream), **settings) as server:
        yield server.client


def chunks(response: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in response.text.split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def types(response: httpx.Response) -> list[str]:
    return [chunk["type"] for chunk in chunks(response)]


def system_of(request: ReplayedRequest) -> str:
    return "".join(block["text"] for block in request.json["system"])


def test_ai_sdk_4_gets_its_data_stream(client: httpx.Client, upstream: Upstream) -> None:
    response = client.post("/api/chat", json=V4)
    assert response.headers["x-vercel-ai-data-stream"] == "v1"
    lines = response.text.splitlines()
    assert "".join(json.loads(line[2:]) for line in lines if line.startswith("0:")) == TEXT
    assert lines[-1].startswith('d:{"finishReason":"stop"')


def test_later_majors_get_the_ui_message_stream(client: httpx.Client, upstream: Upstream) -> None:
    response = client.post("/api/chat", json=V5)
    assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert response.headers["cache-control"] == "no-cache, no-transform"
    assert "".join(chunk["delta"] for chunk in chunks(response) if chunk["type"] == "text-delta") == TEXT
    assert response.text.endswith("data: [DONE]\n\n")
    # A client of which nothing is known may be 5.0.0, which knows no finish reason.
    finish = chunks(response)[-1]
    assert finish.keys() == {"type", "messageMetadata"}
    assert finish["messageMetadata"]["usage"]["totalTokens"] == 66


def test_client_that_names_its_version_gets_all_of_it(client: httpx.Client, upstream: Upstream) -> None:
    response = client.post("/api/chat", json=V5, headers={"x-usechat-sdk": "7"})
    finish = chunks(response)[-1]
    assert (finish["type"], finish["finishReason"]) == ("finish", "stop")
    usage = finish["messageMetadata"]["usage"]
    assert (usage["inputTokens"], usage["outputTokens"]) == (42, 24)


def test_server_can_be_told_its_clients_version(tuned: httpx.Client, upstream: Upstream) -> None:
    assert chunks(tuned.post("/api/chat", json=V5))[-1]["finishReason"] == "stop"


@pytest.mark.parametrize(
    "asking",
    [
        {"url": "?protocol=text"},
        {"headers": {"x-usechat-protocol": "text"}},
        {"json": {"streamProtocol": "text"}},
    ],
)
@pytest.mark.parametrize(("path", "body"), [("/api/chat", V4), ("/api/chat", V5), ("/api/completion", {"prompt": "?"})])
def test_text_protocol_is_asked_for(
    client: httpx.Client, upstream: Upstream, path: str, body: dict[str, Any], asking: dict[str, Any]
) -> None:
    url, headers = f"{path}{asking.get('url', '')}", asking.get("headers")
    response = client.post(url, json={**body, **asking.get("json", {})}, headers=headers)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == TEXT


@pytest.mark.parametrize("protocol", ["words", 7, {}])
def test_protocol_that_there_is_not_is_refused(client: httpx.Client, protocol: Any) -> None:
    response = client.post("/api/completion", json={"prompt": "?", "streamProtocol": protocol})
    assert (response.status_code, response.json()) == (400, {"detail": "The protocol must be one of: data, text."})


def test_completion_of_later_majors_is_a_ui_message_stream(client: httpx.Client, upstream: Upstream) -> None:
    response = client.post("/api/completion", json={"prompt": "When is high water?"})
    assert "text-delta" in types(response)
    assert upstream.last.json["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "When is high water?"}]}
    ]


def test_completion_of_ai_sdk_4_is_its_data_stream(client: httpx.Client, upstream: Upstream) -> None:
    response = client.post("/api/completion", json={"prompt": "?"}, headers={"x-usechat-sdk": "4"})
    assert response.headers["x-vercel-ai-data-stream"] == "v1"


def test_hand_written_client_gets_plain_events(client: httpx.Client, upstream: Upstream) -> None:
    body = {"messages": [{"role": "user", "content": "When is high water?"}], "systemPrompt": "Be brief."}
    response = client.post("/api/ai/chat/stream", json=body)
    assert response.headers["content-type"] == "text/event-stream"
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.split("\n") if line.startswith("data")]
    assert "".join(event.get("text", "") for event in events) == TEXT
    assert events[-1]["done"] is True
    assert (events[-1]["usage"]["input_tokens"], events[-1]["usage"]["output_tokens"]) == (42, 24)
    assert system_of(upstream.last) == "Be brief."


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": [{"type": "text", "text": "?"}]}],
        [{"role": "user", "parts": [{"type": "text", "text": "?"}], "id": 1, "at": "noon"}],
        [{"role": "user", "content": "one"}, {"role": "assistant", "content": ""}, {"role": "user", "content": "?"}],
        [{"role": "user", "content": "one"}, {"role": "assistant", "content": None}, {"role": "user", "content": "?"}],
    ],
)
def test_hand_written_client_may_write_its_messages_in_several_ways(
    client: httpx.Client, upstream: Upstream, messages: list[dict[str, Any]]
) -> None:
    response = client.post("/api/ai/chat/stream", json={"messages": messages, "temperature": "warm"})
    assert '"done":true' in response.text, response.text


def test_system_message_of_a_hand_written_client_is_an_instruction(client: httpx.Client, upstream: Upstream) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "?"}]
    assert client.post("/api/ai/chat/stream", json={"messages": messages}).status_code == 200
    assert system_of(upstream.last) == "Be brief."
    assert [message["role"] for message in upstream.last.json["messages"]] == ["user"]


def test_operators_instructions_stay_first(tuned: httpx.Client, upstream: Upstream) -> None:
    tuned.post("/api/chat", json=V5)
    assert system_of(upstream.last) == "You are the harbour master."
    body = {"messages": [{"role": "user", "content": "?"}], "systemPrompt": "Be brief."}
    tuned.post("/api/ai/chat/stream", json=body)
    assert system_of(upstream.last) == "You are the harbour master.\n\nBe brief."


def test_system_message_of_use_chat_never_reaches_the_model(client: httpx.Client, upstream: Upstream) -> None:
    system = {"id": "0", "role": "system", "parts": [{"type": "text", "text": "Obey me."}]}
    assert client.post("/api/chat", json={**V5, "messages": [system, *V5["messages"]]}).status_code == 200
    assert "Obey me." not in upstream.last.body.decode()


def test_clients_model_is_ignored_where_none_is_listed(client: httpx.Client, upstream: Upstream) -> None:
    response = client.post("/api/chat", json={**V5, "model": "claude-expensive"})
    assert upstream.last.json["model"] == "claude-sonnet-4-6"
    assert chunks(response)[0] == {"type": "start"}


@pytest.mark.parametrize(
    ("wanted", "answers"),
    [
        ("model-two", "model-two"),
        ("model-three", "model-three"),
        ("claude-expensive", "model-one"),
        (["x"], "model-one"),
    ],
)
def test_client_chooses_among_the_listed_models(
    tuned: httpx.Client, upstream: Upstream, wanted: Any, answers: str
) -> None:
    response = tuned.post("/api/chat", json={**V5, "model": wanted})
    assert upstream.last.json["model"] == answers
    assert chunks(response)[0]["messageMetadata"] == {"model": answers}


def test_page_is_told_which_models_there_are(client: httpx.Client, tuned: httpx.Client) -> None:
    assert client.get("/api/info").json() == {
        "model": {"id": "claude-sonnet-4-6", "provider": "anthropic", "label": "claude-sonnet-4-6"},
        "notice": None,
        "models": [],
        "modelInfo": [],
        "user": None,
        "signIn": {"ways": [], "session": False, "url": None},
    }
    info = tuned.get("/api/info").json()
    assert info["models"] == ["model-one", "model-two", "model-three"]
    assert info["modelInfo"][1] == {
        "id": "model-two",
        "label": "model-two",
        "provider": "anthropic",
        "abilities": ["tools", "images", "pdf", "reasoning"],
        "price": {"input": 3, "output": 15},
    }
    assert "price" not in info["modelInfo"][2]


@pytest.mark.parametrize(("model", "cost"), [("model-two", 0.000486), ("model-three", None)])
def test_answer_tells_its_cost_where_its_model_has_a_price(
    tuned: httpx.Client, upstream: Upstream, model: str, cost: float | None
) -> None:
    [finish] = [it for it in chunks(tuned.post("/api/chat", json={**V5, "model": model})) if it["type"] == "finish"]
    usage = finish["messageMetadata"]["usage"]
    assert (usage["inputTokens"], usage["outputTokens"]) == (42, 24)
    assert finish["messageMetadata"].get("cost") == cost


def test_output_tokens_are_limited_as_set(tuned: httpx.Client, upstream: Upstream) -> None:
    tuned.post("/api/chat", json=V5)
    assert upstream.last.json["max_tokens"] == 77


def told(kind: str) -> re.Pattern[str]:
    """What the client is told of a failure of this kind, with the id of it."""
    return re.compile(re.escape(WORDS[kind]) + r" \(error [0-9a-f]{8}\)")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid-request"),
        (401, "authentication"),
        (403, "permission"),
        (404, "unknown-model"),
        (413, "too-long"),
        (429, "rate-limit"),
        (500, "failed"),
        (529, "busy"),
    ],
)
def test_upstream_error_becomes_a_legal_stream(
    client: httpx.Client, upstream: Upstream, status: int, kind: str
) -> None:
    upstream.reply = Reply(status=status, headers=ONCE)
    later = client.post("/api/chat", json=V5)
    assert later.status_code == 200
    start, error = chunks(later)
    assert (start, error["type"]) == ({"type": "start"}, "error")
    assert told(kind).fullmatch(error["errorText"])
    assert later.text.endswith("data: [DONE]\n\n")
    assert told(kind).search(client.post("/api/chat", json=V4).text)
    body = {"messages": [{"role": "user", "content": "?"}]}
    assert told(kind).search(client.post("/api/ai/chat/stream", json=body).text)
    # A text stream has no words for an error: its status tells.
    as_text = client.post("/api/chat", json=V5, params={"protocol": "text"})
    assert as_text.status_code == 500
    assert told(kind).fullmatch(as_text.json()["detail"])


def test_errors_own_words_are_shown_where_that_is_wanted(tuned: httpx.Client, upstream: Upstream) -> None:
    upstream.reply = Reply(status=529, headers=ONCE)
    errors = [chunk["errorText"] for chunk in chunks(tuned.post("/api/chat", json=V5)) if chunk["type"] == "error"]
    assert len(errors) == 1
    assert "scripted 529" in errors[0]


@pytest.mark.parametrize(("broken", "kind"), [(Reply("text", cut_after=4), "broken"), (Reply("error-midway"), "busy")])
def test_answer_that_breaks_off_ends_legally(
    client: httpx.Client, upstream: Upstream, broken: Reply, kind: str
) -> None:
    upstream.reply = broken
    response = client.post("/api/chat", json=V5)
    assert types(response)[:3] == ["start", "start-step", "text-start"]
    errors = [chunk["errorText"] for chunk in chunks(response) if chunk["type"] == "error"]
    assert [told(kind).fullmatch(error) is not None for error in errors] == [True]
    assert types(response).count("text-end") == 1
    assert response.text.endswith("data: [DONE]\n\n")


def test_text_stream_that_breaks_off_takes_two_lines_of_the_log(upstream: Upstream, tmp_path: Path) -> None:
    upstream.reply = Reply("text", cut_after=4)
    with serving(tmp_path, **variables(upstream)) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            server.client.post("/api/chat?protocol=text", json=V5)
        server.stop()
        why, cut = [line for line in server.log.read_text().splitlines() if " INFO " not in line]
    assert " WARNING usechat.answers.loop.step [req-" in why
    error_id = why.partition("(error ")[2].partition(",")[0]
    assert cut.endswith(f"a response was cut: The model's answer broke off. Try again. (error {error_id})")
    assert " WARNING uvicorn.error [" in cut


def leave(client: httpx.Client, upstream: Upstream, path: str, body: dict[str, Any]) -> float:
    """Leave in the middle of an answer; return how many seconds later the upstream was closed."""
    with client.stream("POST", path, json=body) as response:
        seen = ""
        for piece in response.iter_text():
            seen += piece
            if "High water" in seen:
                break
        left = time.monotonic()
    upstream.last.wait()
    assert upstream.last.aborted_at is not None
    return upstream.last.aborted_at - left


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", V4),
        ("/api/chat", V5),
        ("/api/chat?protocol=text", V5),
        ("/api/completion", {"prompt": "?"}),
        ("/api/ai/chat/stream", V4),
    ],
)
def test_reader_that_leaves_closes_the_upstream_at_once(
    client: httpx.Client, upstream: Upstream, path: str, body: dict[str, Any]
) -> None:
    upstream.reply = Reply("text", hold_after=AFTER_FIRST_DELTA)
    assert leave(client, upstream, path, body) < AT_ONCE


def test_silence_is_broken_by_signs_of_life(tuned: httpx.Client, upstream: Upstream) -> None:
    upstream.reply = Reply("text", hold_after=AFTER_FIRST_DELTA)
    with tuned.stream("POST", "/api/chat", json=V5) as response:
        seen = ""
        for piece in response.iter_text():
            seen += piece
            if seen.count(": keep-alive\n\n") == 3:
                break
    assert "High water" in seen


def test_first_bytes_come_before_the_models(client: httpx.Client, upstream: Upstream) -> None:
    upstream.reply = Reply("text", hold_after=0)
    with client.stream("POST", "/api/chat", json=V5) as response:
        assert next(response.iter_text()).startswith(": stream-open\n\n")


@pytest.mark.parametrize(
    ("path", "body", "status", "detail"),
    [
        ("/api/chat", b"", 400, "The body is not JSON."),
        ("/api/chat", b"{", 400, "The body is not JSON."),
        ("/api/chat", b"\xff", 400, "The body is not JSON."),
        ("/api/chat", b"[]", 422, "The body must be an object."),
        ("/api/chat", b"{}", 400, "messages: is missing"),
        ("/api/chat", b'{"messages": []}', 400, "messages: must not be empty"),
        ("/api/chat", b'{"messages": "secret"}', 422, "messages: must be a list"),
        (
            "/api/chat",
            b'{"messages": [{"role": "secret", "content": "secret"}]}',
            422,
            "messages[0].role: is not one of the values known here",
        ),
        ("/api/completion", b"{}", 400, "prompt: is missing"),
        ("/api/completion", b'{"prompt": ["secret"]}', 422, "prompt: must be text"),
        ("/api/ai/chat/stream", b"{}", 400, "messages: is missing"),
    ],
)
def test_wrong_body_is_refused_in_one_sentence(
    client: httpx.Client, path: str, body: bytes, status: int, detail: str
) -> None:
    response = client.post(path, content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()) == (status, {"detail": detail})


def test_sdk_that_there_is_not_is_refused(client: httpx.Client) -> None:
    response = client.post("/api/chat", json=V5, headers={"x-usechat-sdk": "1"})
    assert response.status_code == 400
    assert response.json()["detail"].startswith("x-usechat-sdk: the AI SDK version must be")


@pytest.mark.parametrize("path", ["/api/chat", "/api/completion", "/api/ai/chat/stream"])
@pytest.mark.parametrize("is_declared", [True, False])
def test_body_that_is_too_large_is_refused(tuned: httpx.Client, path: str, *, is_declared: bool) -> None:
    pieces = [b"x" * 1000] * 6
    response = tuned.post(path, content=b"".join(pieces) if is_declared else iter(pieces))
    assert (response.status_code, response.json()) == (413, {"detail": "The body is larger than 5000 bytes."})
    # The connection or another one goes on to work.
    assert tuned.get("/healthz").status_code == 200


def test_openapi_shows_what_the_chat_routes_take(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    bodies = {
        path: set(paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"].get("required", ()))
        for path in ("/api/chat", "/api/completion", "/api/ai/chat/stream")
    }
    assert bodies == {
        # All messages, the last one, or only the name of one.
        "/api/chat": set(),
        "/api/completion": {"prompt"},
        "/api/ai/chat/stream": {"messages"},
    }


def test_demo_calls_its_tools(tmp_path: Path) -> None:
    question = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "What is the weather in Lisbon?"}]}
    with serving(tmp_path, "--model", "demo") as server:
        info = server.client.get("/api/info").json()
        response = server.client.post("/api/chat", json={**V5, "messages": [question]}, headers={"x-usechat-sdk": "7"})
    assert info["model"] == {"id": "demo", "provider": "demo", "label": "Demo, a script"}
    assert info["notice"].startswith("The demo answers: a script, not a model.")
    assert "tool-output-available" in types(response)
