"""Each client's chat holds conversations with our server, and shows what it shows with the AI SDK's own server.

What a page shows is its text and, where the client has such a list, its messages.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from uuid import uuid4

import pytest
from playwright.sync_api import FilePayload, expect

from tests.conformance.replies import call, said, text
from tests.e2e.clients.client_page import ClientPage, Shown
from tests.e2e.clients.conftest import Open, Oracle
from tests.e2e.upstream import OVERLOADED, WHOLE_TEXT, WORDS, Upstream
from usechat.testing.replay import Reply

MAJORS = {"v3": None, "v4": 4, "v5": 5, "v6": 6, "v7": 7, "vue": 7, "svelte": 7, "assistant-ui": 7}
"""The major of each client's own server; AI SDK 3.4 has none here to compare with."""
WITH_APPROVALS = ("v6", "v7", "vue", "svelte", "assistant-ui")
WITH_CLIENT_TOOLS = ("v3", "v4", "v5", "v6", "v7")
WITH_FILES = ("v4", "v5", "v6", "v7")
WITH_DATA = ("v5", "v6", "v7")
WITH_RESUME = ("v5", "v6", "v7", "vue", "svelte", "assistant-ui")

QUESTION = "When is high water?"
AFTER_TWO_WORDS = Reply("text", hold_after=4)
TWO_WORDS = "".join(WORDS[:2]).strip()
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cf50"
    "0f0003860180a5e0d3860000000049454e44ae426082"
)

Conversation = Callable[[ClientPage], Shown]
Compare = Callable[..., Shown]


@pytest.fixture
def compare(open_page: Open, oracle: Oracle) -> Compare:
    """Holds a conversation with our server and with the client's own, and returns what was shown with both."""

    def compare(client: str, hold: Conversation, **options: str) -> Shown:
        major = MAJORS[client]
        ours = hold(open_page(f"/{client}/chat/", **options))
        if major is not None:
            assert ours == hold(open_page(f"/{client}/chat/", oracle=oracle(major), **options))
        return ours

    return compare


@pytest.mark.parametrize("client", MAJORS)
def test_tool_runs_and_the_answer_goes_on(client: str, compare: Compare, upstream: Upstream) -> None:
    calling = said(call("get_weather", {"city": "Whitby"}, id="toolu_1"), stop="tool_use")

    def hold(page: ClientPage) -> Shown:
        upstream.will(calling, said(text("It is ", "sunny.")))
        page.ask("And the weather in Whitby?")
        return page.wait_for_end("It is sunny.")

    shown = compare(client, hold)

    assert "get_weather" in shown.text
    assert '"temperature":18' in shown.text


@pytest.mark.parametrize(("answer", "result"), [("Approve", "It is gone."), ("Deny", "It stays.")])
@pytest.mark.parametrize("client", WITH_APPROVALS)
def test_user_decides_whether_a_tool_runs(
    client: str, answer: str, result: str, compare: Compare, upstream: Upstream
) -> None:
    calling = said(call("delete_file", {"path": "/tmp/draft"}, id="toolu_1"), stop="tool_use")

    def hold(page: ClientPage) -> Shown:
        upstream.will(calling, said(text(result)))
        page.ask("Delete the draft.")
        page.button(answer).click()
        return page.wait_for_end(result)

    compare(client, hold)

    [brought] = [it for it in upstream.requests[1].json["messages"][-1]["content"] if it["type"] == "tool_result"]
    assert ("deleted" in json.dumps(brought)) == (answer == "Approve")


@pytest.mark.parametrize("client", WITH_CLIENT_TOOLS)
def test_tool_of_the_client_asks_the_user(client: str, compare: Compare, upstream: Upstream) -> None:
    calling = said(call("ask_user", {"question": "Is it urgent?"}, id="toolu_1"), stop="tool_use")

    def hold(page: ClientPage) -> Shown:
        upstream.will(calling, said(text("Then now.")))
        page.ask("Book a table.")
        page.button("Yes").click()
        return page.wait_for_end("Then now.")

    compare(client, hold)

    assert "Yes" in json.dumps(upstream.requests[1].json["messages"][-1])


@pytest.mark.parametrize("client", MAJORS)
def test_stop_ends_the_answer_and_keeps_what_has_come(
    client: str, compare: Compare, upstream: Upstream, hasty_server: str
) -> None:
    def hold(page: ClientPage) -> Shown:
        upstream.will(AFTER_TWO_WORDS, Reply("text"))
        page.ask(QUESTION)
        page.wait_for(TWO_WORDS)
        page.stop.click()
        stopped = page.wait_for_end(TWO_WORDS)
        upstream.requests[0].wait()
        assert upstream.requests[0].is_aborted
        page.ask("Once more, please.")
        page.wait_for_end(WHOLE_TEXT)
        return stopped

    assert WORDS[2].strip() not in compare(client, hold, server=hasty_server).text


@pytest.mark.parametrize("client", MAJORS)
def test_error_is_shown_and_the_visitor_goes_on(client: str, compare: Compare, upstream: Upstream) -> None:
    def hold(page: ClientPage) -> Shown:
        upstream.will(OVERLOADED, Reply("text"))
        page.ask(QUESTION)
        expect(page.error).to_be_visible()
        if client == "assistant-ui":
            page.ask("Once more, please.")
        else:
            page.button("Retry").click()
        return page.wait_for_end(WHOLE_TEXT)

    compare(client, hold)


@pytest.mark.parametrize("client", WITH_FILES)
def test_attached_picture_reaches_the_model(client: str, compare: Compare, upstream: Upstream) -> None:
    def hold(page: ClientPage) -> Shown:
        upstream.will(Reply("text"))
        picture = FilePayload(name="tide.png", mimeType="image/png", buffer=PIXEL)
        page.page.get_by_label("Files").set_input_files(picture)
        page.ask(QUESTION)
        return page.wait_for_end(WHOLE_TEXT)

    compare(client, hold)

    assert "image" in [block["type"] for block in upstream.requests[0].json["messages"][0]["content"]]


@pytest.mark.parametrize("client", WITH_DATA)
def test_data_part_of_a_tool_is_shown_in_its_last_state(client: str, open_page: Open, upstream: Upstream) -> None:
    upstream.will(said(call("count", {"to": 3}, id="toolu_1"), stop="tool_use"), said(text("Three.")))
    page = open_page(f"/{client}/chat/")
    page.ask("Count.")
    shown = page.wait_for_end("Three.")

    expect(page.page.locator("progress")).to_have_attribute("value", "3")
    parts = [part for part in shown.messages[-1]["parts"] if part["type"] == "data-progress"]
    assert [part["data"] for part in parts] == [{"done": 3, "all": 3}]


@pytest.mark.parametrize("client", WITH_DATA)
def test_metadata_tells_the_model(client: str, compare: Compare, upstream: Upstream) -> None:
    def hold(page: ClientPage) -> Shown:
        upstream.will(Reply("text"))
        page.ask(QUESTION)
        return page.wait_for_end(WHOLE_TEXT)

    assert compare(client, hold).messages[-1]["metadata"] == {"model": "claude-sonnet-4-6"}


@pytest.mark.parametrize("client", WITH_RESUME)
def test_reload_in_mid_answer_goes_on_with_it(client: str, open_page: Open, upstream: Upstream) -> None:
    upstream.will(AFTER_TWO_WORDS)
    page = open_page(f"/{client}/chat/?chat={uuid4().hex}")
    page.ask(QUESTION)
    page.wait_for(TWO_WORDS)

    page.page.reload()
    page.wait_for(TWO_WORDS)
    upstream.requests[0].go_on()

    shown = page.wait_for_end(WHOLE_TEXT)
    assert (shown.text.count(QUESTION), shown.text.count(WORDS[0])) == (1, 1)
    assert [message["role"] for message in shown.messages] == ["user", "assistant"]
