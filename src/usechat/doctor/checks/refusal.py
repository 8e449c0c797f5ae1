"""Checks how the backend refuses what it cannot read. No model is asked."""

from __future__ import annotations

from usechat.doctor.backend import Backend
from usechat.doctor.check import Unseen, Verdict
from usechat.doctor.checks.answer import excerpt

__all__ = ["check_unreadable_body"]

PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})


async def check_unreadable_body(backend: Backend) -> Verdict:
    """Post what is no JSON."""
    exchange = await backend.fetch("POST", backend.target.url, content=b'{"messages": [')
    if exchange.status is None:
        if (await backend.answer()).status is None:
            raise Unseen("there is no response to anything")
        return Verdict([f"No response: {exchange.failure}."])
    findings: list[str] = []
    if not 400 <= exchange.status < 500:
        findings.append(f"A body that is no JSON gets status {exchange.status}.")
    if exchange.status >= 400 and exchange.media_type in PAGE_TYPES:
        findings.append(f"The error is a page, whose source useChat shows: {excerpt(exchange.body)}")
    if exchange.status >= 400 and not exchange.body.strip():
        findings.append("The error has no text, and useChat shows an empty message.")
    return Verdict(findings, f"status {exchange.status}")
