"""Checks whether an answer arrives as it is made, through whatever stands between."""

from __future__ import annotations

from itertools import pairwise

from usechat.doctor.backend import Backend
from usechat.doctor.check import Unseen, Verdict
from usechat.doctor.exchange import Exchange
from usechat.doctor.frames import Stream

__all__ = ["check_arrival", "check_compression"]

LEAST_DELTAS = 4
LEAST_SECONDS = 0.4
"""An answer that is whole sooner can have been made at once."""
MOST_OF_ANSWER = 0.05
"""What arrives within this part of the answer's time has arrived at once."""
LEAST_SPREAD_SECONDS = 0.05
"""What arrives in less can be one burst that took several reads."""
REST_SECONDS = 0.25
"""What is written together is not torn apart for so long."""


async def check_arrival(backend: Backend) -> Verdict:
    """Look whether the deltas arrive one after the other."""
    stream = await backend.stream()
    exchange = await backend.answer()
    if "content-length" in exchange.headers:
        return Verdict(["The response has a content-length: it was made whole before it was sent."])
    if is_compressed(exchange) and find_delay(exchange, stream):
        raise Unseen("the answer is compressed: see compression")
    return judge(exchange, stream)


async def check_compression(backend: Backend) -> Verdict:
    """Look whether compression holds deltas back."""
    stream = await backend.stream()
    exchange = await backend.answer()
    if not is_compressed(exchange):
        return Verdict(note="none")
    if "content-length" in exchange.headers:
        raise Unseen("the response was made whole: see arrival")
    return judge(exchange, stream)


def judge(exchange: Exchange, stream: Stream) -> Verdict:
    delay = find_delay(exchange, stream)
    if delay:
        encoding = f" ({exchange.headers['content-encoding']})" if is_compressed(exchange) else ""
        return Verdict([delay.replace("The deltas", f"The deltas{encoding}", 1)])
    times = [frame.seconds for frame in stream.content]
    if len(times) < LEAST_DELTAS:
        raise Unseen(f"the answer has {len(times)} deltas: ask for a longer one with --message")
    if times[-1] - times[0] <= max(times[-1] * MOST_OF_ANSWER, LEAST_SPREAD_SECONDS):
        raise Unseen(f"the answer was there after {times[-1]:.2f} s: ask for a longer one with --message")
    return Verdict(note=f"{len(times)} deltas in {times[-1] - times[0]:.1f} s")


def find_delay(exchange: Exchange, stream: Stream) -> str:
    """Return what shows that deltas were held back; empty if nothing does."""
    for earlier, later in pairwise(exchange.arrivals):
        rest = later.seconds - earlier.seconds
        # Backends write whole frames, and only a buffer on the way that was full ends within one.
        if not earlier.data.endswith((b"\n", b"\r")) and rest >= REST_SECONDS:
            return f"The deltas arrive in blocks: one was cut, and its rest came {rest:.1f} s later."
    # All frames count for when it began: a model may think for long after the first.
    times = [frame.seconds for frame in stream.frames]
    if len(stream.content) < LEAST_DELTAS or times[-1] < LEAST_SECONDS:
        return ""
    if times[-1] - times[0] > times[-1] * MOST_OF_ANSWER:
        return ""
    return f"The deltas arrive all at once, after {times[-1]:.1f} s: {len(stream.content)} of them."


def is_compressed(exchange: Exchange) -> bool:
    return exchange.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}
