"""Checks of the answer itself: is there one, who can read it, does it end, and has it the headers."""

from __future__ import annotations

from usechat.doctor.backend import Backend
from usechat.doctor.check import Unseen, Verdict
from usechat.doctor.checks.silence import SILENCE_TOLD_SECONDS, is_cut_in_silence
from usechat.doctor.exchange import Exchange
from usechat.doctor.frames import ENDS, UI_MESSAGE_STREAM, Stream, find_refusals
from usechat.doctor.releases import name, name_ranges, releases_of

__all__ = [
    "check_answer",
    "check_cache_control",
    "check_content_type",
    "check_ending",
    "check_frames",
    "check_protocol_header",
]

FAILED = frozenset({"error", "3"})
MAX_REFUSALS = 50


async def check_answer(backend: Backend) -> Verdict:
    """Look for an answer: a response of 200 with frames, and no error among them."""
    exchange = await backend.answer()
    if exchange.status is None:
        return Verdict([f"No response{name_wait(exchange)}: {exchange.failure}."])
    if exchange.status != 200:
        return Verdict([f"The response has status {exchange.status}{name_wait(exchange)}: {excerpt(exchange.body)}"])
    if not exchange.body:
        return Verdict([f"The body is empty{name_wait(exchange)}: {exchange.failure or 'it ended'}."])
    stream = Stream.of(exchange)
    if stream is None:
        kind = exchange.media_type or "no content type"
        return Verdict([f"The body ({kind}) is no stream of the AI SDK, and useChat shows nothing of it."])
    errors = [frame for frame in stream.frames if frame.type in FAILED]
    if errors:
        return Verdict([f"The answer is an error: {excerpt(errors[0].text)}"])
    seconds = exchange.arrivals[-1].seconds
    return Verdict(note=f"{stream.protocol.name}, {len(stream.frames)} frames in {seconds:.1f} s")


async def check_frames(backend: Backend) -> Verdict:
    """Hold each frame against the rules of the released clients."""
    stream = await backend.stream()
    majors = stream.protocol.majors
    releases = releases_of(backend.target.dialect, majors)
    if not releases:
        return Verdict([f"AI SDK {backend.target.sdk} does not read a {stream.protocol.name}."])
    refusals = find_refusals(stream, releases, backend.posted)
    refusing = {release for refusal in refusals for release in refusal.releases}
    readers = name_ranges([release for release in releases if release not in refusing], releases)
    findings = [
        f"Frame {refusal.place + 1}: {refusal.why}. It breaks {name_ranges(refusal.releases, releases)}"
        f" (first: {name(refusal.releases[0])})."
        for refusal in refusals[:MAX_REFUSALS]
    ]
    return Verdict(findings, f"read by {readers}" if readers else "read by none of the releases examined")


async def check_ending(backend: Backend) -> Verdict:
    """Look for the end of the answer."""
    stream = await backend.stream()
    exchange = await backend.answer()
    if is_cut_in_silence(exchange, stream, backend.target.idle):
        raise Unseen("the stream breaks off: see silence")
    if exchange.failure:
        return Verdict([f"The stream broke off: {exchange.failure}."])
    findings: list[str] = []
    if not ENDS & set(stream.types):
        findings.append("The stream stops without a finish, abort or error.")
    if stream.protocol is UI_MESSAGE_STREAM and not (stream.terminators == 1 and stream.ends_with_terminator):
        findings.append("data: [DONE] does not stand once, at the end.")
    return Verdict(findings)


def name_wait(exchange: Exchange) -> str:
    """Name a long wait for a refusal, which may be how long a proxy waits."""
    seconds = exchange.over or 0.0
    return f" after {seconds:.0f} s" if seconds >= SILENCE_TOLD_SECONDS and not exchange.is_out_of_time else ""


async def check_content_type(backend: Backend) -> Verdict:
    """Look for the content type of the protocol."""
    wanted = (await backend.stream()).protocol.media_type
    found = (await backend.answer()).media_type
    return Verdict([] if found == wanted else [f"The content type is {found or 'missing'}, not {wanted}."])


async def check_protocol_header(backend: Backend) -> Verdict:
    """Look for the header that names the protocol."""
    wanted = (await backend.stream()).protocol.header
    found = (await backend.answer()).headers.get(wanted)
    return Verdict([] if found == "v1" else [f"The header {wanted}: v1 is {'missing' if found is None else found}."])


async def check_cache_control(backend: Backend) -> Verdict:
    """Look for what keeps caches off, as the AI SDK's own servers send it with events."""
    stream = await backend.stream()
    found = (await backend.answer()).headers.get("cache-control", "").lower()
    is_kept_off = "no-cache" in found or "no-store" in found
    if is_kept_off or stream.protocol is not UI_MESSAGE_STREAM:
        return Verdict()
    return Verdict([f"The header cache-control is {found or 'missing'}, and caches may keep the answer."])


def excerpt(text: bytes) -> str:
    """Return the beginning of a text from the backend."""
    words = " ".join(text[:2000].decode("utf-8", "replace").split())
    return words if len(words) <= 200 else f"{words[:200]}…"
