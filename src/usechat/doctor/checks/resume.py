"""Checks whether an answer can be resumed, and whether leaving stops it: that shows only where one can come back."""

from __future__ import annotations

from usechat.doctor.backend import Backend, Departure
from usechat.doctor.check import Unseen, Verdict
from usechat.doctor.frames import ENDS, UI_MESSAGE_STREAM, Stream, find_refusals
from usechat.doctor.releases import releases_of

__all__ = ["check_leaving", "check_resume"]

NO_SUCH_ROUTE = frozenset({404, 405, 501})


async def check_resume(backend: Backend) -> Verdict:
    """Ask for the stream of a chat where nothing runs, then for that of a running answer."""
    status, findings = await ask_idle(backend)
    if findings:
        return Verdict(findings)
    if status in NO_SUCH_ROUTE:
        return Verdict(note=f"not offered (status {status})")
    departure = await backend.departure()
    answer = Stream.of(departure.answer)
    if departure.meanwhile.status == 204 and (answer is None or ENDS & set(answer.types)):
        raise Unseen("the answer had ended before it could be resumed: ask for a longer one with --message")
    if departure.meanwhile.status == 204:
        return Verdict(note="not offered (status 204)")
    return Verdict(judge(backend, departure), "from the first frame")


async def check_leaving(backend: Backend) -> Verdict:
    """Look for an answer that was left: does it run?"""
    status, findings = await ask_idle(backend)
    if findings or status in NO_SUCH_ROUTE:
        raise Unseen("only who can resume an answer can see whether it goes on")
    after = (await backend.departure()).after
    if after is None or after.status not in {200, 204}:
        raise Unseen("only who can resume an answer can see whether it goes on")
    stream = Stream.of(after)
    if after.status == 204 or stream is None or "finish" not in stream.types:
        return Verdict(note="the answer stops")
    return Verdict(note="the answer goes on for those who come back; useChat's stop() then needs a route of its own")


async def ask_idle(backend: Backend) -> tuple[int | None, list[str]]:
    """Ask for the stream of the chat whose answer has ended."""
    stream = await backend.stream()
    if stream.protocol is not UI_MESSAGE_STREAM:
        raise Unseen("AI SDK 3 and 4 have no such route")
    chat_id = backend.posted.get("id")
    if not isinstance(chat_id, str) or not chat_id:
        raise Unseen("the body that was posted has no id")
    exchange = await backend.idle(backend.target.stream_url(chat_id))
    if exchange.status == 204 or exchange.status in NO_SUCH_ROUTE:
        return exchange.status, []
    what = f"status {exchange.status}" if exchange.status else f"no response ({exchange.failure})"
    kind = f", {exchange.media_type}" if exchange.media_type else ""
    return exchange.status, [f"GET URL/ID/stream of a chat where nothing runs gets {what}{kind}, not 204."]


def judge(backend: Backend, departure: Departure) -> list[str]:
    meanwhile, after = departure.meanwhile, departure.after
    if meanwhile.status != 200:
        what = f"status {meanwhile.status}" if meanwhile.status else f"no response ({meanwhile.failure})"
        return [f"GET URL/ID/stream of a running answer gets {what}."]
    first, again = Stream.of(departure.answer), Stream.of(meanwhile)
    if again is None or first is None or not again.frames or again.frames[0].text != first.frames[0].text:
        return ["The resumed answer does not begin with the first frame of the answer."]
    rest = None if after is None or after.status != 200 else Stream.of(after)
    if rest is None:
        return []
    refusals = find_refusals(rest, releases_of(backend.target.dialect, rest.protocol.majors), backend.posted)
    findings = [f"Frame {refusal.place + 1} of the resumed answer: {refusal.why}." for refusal in refusals]
    if not ENDS & set(rest.types):
        findings.append("The resumed answer stops without a finish, abort or error.")
    return findings
