"""Checks whether an answer survives a silence: proxies cut connections on which nothing comes.

No client can keep a backend silent, so this goes by the silences that the answer has.
"""

from __future__ import annotations

from itertools import pairwise

from usechat.doctor.backend import Backend
from usechat.doctor.check import Unseen, Verdict
from usechat.doctor.exchange import Exchange
from usechat.doctor.frames import ENDS, Stream

__all__ = ["SILENCE_TOLD_SECONDS", "check_silence", "is_cut_in_silence"]

SILENCE_TOLD_SECONDS = 5.0
"""Proxies wait longer, and what breaks off sooner has other reasons."""


async def check_silence(backend: Backend) -> Verdict:
    """Look whether the answer goes on after a silence, or breaks off in one."""
    stream = await backend.stream()
    exchange = await backend.answer()
    idle = backend.target.idle
    if is_cut_in_silence(exchange, stream, idle):
        return Verdict([f"The stream breaks off after {exchange.last_silence:.0f} s in which nothing came."])
    # Heartbeats are no frames: with them the connection is not silent while the answer is.
    waited = longest_gap([frame.seconds for frame in stream.frames])
    if waited < idle:
        raise Unseen(f"no silence was longer than {waited:.1f} s: let --message ask for {idle:g} s, as of a slow tool")
    silent = longest_gap([arrival.seconds for arrival in exchange.arrivals])
    return Verdict(note=f"{waited:.0f} s without a chunk, {silent:.0f} s without a byte")


def is_cut_in_silence(exchange: Exchange, stream: Stream, idle: float) -> bool:
    """Return whether an answer has no end, and nothing had come for long when it was over."""
    is_whole = exchange.has_ended and bool(ENDS & set(stream.types))
    least = min(SILENCE_TOLD_SECONDS, idle)
    return not is_whole and not exchange.is_out_of_time and exchange.last_silence >= least


def longest_gap(times: list[float]) -> float:
    return max((later - earlier for earlier, later in pairwise([0.0, *times])), default=0.0)
