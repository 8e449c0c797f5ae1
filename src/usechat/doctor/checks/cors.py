"""Checks whether a page of another origin may ask, and that not every page may."""

from __future__ import annotations

from urllib.parse import urlsplit

from usechat.doctor.backend import Backend
from usechat.doctor.check import Unseen, Verdict
from usechat.doctor.exchange import Exchange

__all__ = ["check_answer", "check_preflight", "check_strangers"]

STRANGER = "https://stranger.invalid"
SENT_ALWAYS = "content-type"


async def check_preflight(backend: Backend) -> Verdict:
    """Ask as a browser asks before a page's first request."""
    origin = page_origin(backend)
    wanted = [SENT_ALWAYS, *(name for name in sorted(backend.target.headers) if name not in {SENT_ALWAYS, "origin"})]
    exchange = await preflight(backend, origin, wanted)
    if exchange.status is None:
        return Verdict([f"No response to OPTIONS: {exchange.failure}."])
    if not 200 <= exchange.status < 300:
        return Verdict([f"OPTIONS gets status {exchange.status}."])
    findings = [] if allows(exchange, origin) else [f"OPTIONS does not allow {origin}."]
    allowed = {name.strip().lower() for name in exchange.headers.get("access-control-allow-headers", "").split(",")}
    # The wildcard never stands for this one.
    missing = [name for name in wanted if name not in allowed and ("*" not in allowed or name == "authorization")]
    if missing:
        findings.append(f"OPTIONS does not allow the header {', '.join(missing)}.")
    return Verdict(findings)


async def check_answer(backend: Backend) -> Verdict:
    """Look whether the browser shows the answer to the page."""
    origin = page_origin(backend)
    await backend.stream()
    return Verdict([] if allows(await backend.answer(), origin) else [f"The answer does not allow {origin}."])


async def check_strangers(backend: Backend) -> Verdict:
    """Ask for a page that nobody knows."""
    exchange = await preflight(backend, STRANGER, [SENT_ALWAYS])
    if exchange.status is None:
        raise Unseen("there is no response to OPTIONS")
    has_credentials = exchange.headers.get("access-control-allow-credentials", "").lower() == "true"
    if has_credentials and exchange.headers.get("access-control-allow-origin") == STRANGER:
        return Verdict(["Every page may ask with its visitor's cookies and read the answer."])
    return Verdict()


async def preflight(backend: Backend, origin: str, names: list[str]) -> Exchange:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": ",".join(names)}
    return await backend.fetch("OPTIONS", backend.target.url, headers={"origin": origin, **asked})


def page_origin(backend: Backend) -> str:
    origin = backend.target.origin
    if origin is None:
        raise Unseen("name the page's origin with --origin")
    if urlsplit(backend.target.url)[:2] == urlsplit(origin)[:2]:
        raise Unseen("the page has the backend's own origin")
    return origin


def allows(exchange: Exchange, origin: str) -> bool:
    return exchange.headers.get("access-control-allow-origin") in {origin, "*"}
