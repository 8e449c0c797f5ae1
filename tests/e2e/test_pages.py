"""The page as `usechat serve` serves them, with a scripted model service and with the embedded model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.upstream import OVERLOADED, WHOLE_TEXT, WORDS, Upstream, text_events
from tests.support.waiting import AT_ONCE
from usechat.parts import TextDelta
from usechat.protocol.decoders import UIMessageStreamDecoder
from usechat.testing.replay import Reply

TIMES = " ".join(f"On day {day} it is at {day % 12}:20." for day in range(1, 31))
SLOWLY = Reply(events=[*text_events(TIMES, 30)], delay=0.1)
"""Slowly enough for three paints of a browser that has little of the processor."""
AFTER_TWO_WORDS = Reply("text", hold_after=4)
SAID_BY_THEN = "".join(WORDS[:2]).strip()


def test_replayed_answer_grows_over_three_paints_and_arrives_whole(
    visit: Visit, replayed: str, upstream: Upstream
) -> None:
    upstream.will(SLOWLY)
    page = visit(replayed)
    page.ask("When is high water?")
    page.wait_until_answered()
    assert_grows(page.paints())
    expect(page.answer).to_contain_text(TIMES)


def test_second_question_carries_the_conversation(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(Reply("text"))
    page = visit(replayed)
    page.ask("When is high water?")
    page.wait_until_answered()
    page.ask("And low water?")
    page.wait_until_answered(2)
    said = [(message["role"], text_of(message)) for message in upstream.requests[-1].json["messages"]]
    assert said == [("user", "When is high water?"), ("assistant", WHOLE_TEXT), ("user", "And low water?")]


def test_stop_reaches_the_model_service(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(AFTER_TWO_WORDS)
    page = visit(replayed)
    page.ask("When is high water?")
    expect(page.answer).to_contain_text(SAID_BY_THEN)
    page.stop.click()
    request = upstream.requests[0]
    # The page stops by leaving, and might be one that is reloaded.
    request.wait()
    assert request.is_aborted


def test_stop_keeps_what_has_come_and_lets_the_visitor_go_on(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(AFTER_TWO_WORDS, Reply("text"))
    page = visit(replayed)
    page.ask("When is high water?")
    expect(page.answer).to_contain_text(SAID_BY_THEN)
    page.stop.click()
    page.ask("Once more, please.")
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    expect(page.answers.first).to_contain_text(SAID_BY_THEN)
    expect(page.error).to_be_hidden()


def test_overloaded_service_shows_an_error(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(OVERLOADED)
    page = visit(replayed)
    page.ask("When is high water?")
    expect(page.error).to_contain_text(re.compile(r"\w+ \w+"))
    expect(page.stop).to_be_hidden()


def test_retry_after_an_error_brings_the_answer(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(OVERLOADED, Reply("text"))
    page = visit(replayed)
    page.ask("When is high water?")
    page.retry.click()
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    expect(page.error).to_be_hidden()
    assert [text_of(message) for message in upstream.requests[1].json["messages"]] == ["When is high water?"]


def test_answer_of_the_local_model_grows_over_three_paints_and_is_shown_whole(visit: Visit, local: str) -> None:
    page = visit(local)
    expect(page.model_name).to_contain_text("SmolLM2")
    with page.page.expect_response(lambda response: response.request.method == "POST") as response:
        page.ask("Name three colours.")
    page.wait_until_answered()
    assert_grows_but_for_marks(page.paints())
    # What the browser tells of a body has any letters but these in another encoding: its content type names none.
    words = re.findall(r"[A-Za-z]{3,}", text_in(response.value.body()))
    assert words
    assert [word for word in words if word not in page.answer.inner_text()] == []


def test_stopped_answer_of_the_local_model_does_not_go_on(visit: Visit, local: str) -> None:
    page = visit(local)
    page.ask("Tell me a very long story about a lighthouse keeper, in at least one thousand words.")
    expect(page.answer).to_contain_text(re.compile(r"(\w+\W+){5}"))
    page.stop.click()
    # The rest of such a story would take longer.
    expect(page.send).to_be_visible(timeout=AT_ONCE * 1_000)
    told = page.answer.inner_text()
    page.ask("Name one colour.")
    page.wait_until_answered(2)
    assert page.answers.first.inner_text().startswith(told.removesuffix("Answer again").rstrip())


def test_browser_finds_nothing_to_complain_of(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(OVERLOADED, AFTER_TWO_WORDS, Reply("text"))
    page = visit(replayed)
    page.ask("When is high water?")
    page.retry.click()
    expect(page.answer).to_contain_text(SAID_BY_THEN)
    page.stop.click()
    page.ask("Once more, please.")
    expect(page.answer).to_contain_text(WHOLE_TEXT)
    assert page.complaints == []


def assert_grows(paints: Sequence[str]) -> None:
    """See that something new stood on at least three frames, and each time more than before."""
    lengths = [len(text) for text in paints]
    assert len(lengths) >= 3, paints
    assert lengths == sorted(set(lengths)), paints


def assert_grows_but_for_marks(paints: Sequence[str]) -> None:
    """See the same of Markdown: its marks stand there as text until they are known as marks."""
    longest, steps = 0, 0
    for length in (len(re.findall(r"[A-Za-z]", text)) for text in paints):
        assert length >= longest, paints
        steps += length > longest
        longest = length
    assert steps >= 3, paints


def text_in(stream: bytes) -> str:
    """The text in a response to the page."""
    return "".join(part.delta for part in UIMessageStreamDecoder().feed(stream) if isinstance(part, TextDelta))


def text_of(message: dict[str, Any]) -> str:
    """The text of a message to the Messages API."""
    content: str | list[dict[str, Any]] = message["content"]
    return content if isinstance(content, str) else "".join(block["text"] for block in content)
