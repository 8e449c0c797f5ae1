"""Sessions of the page: a cookie in place of an API key, which the page then need not keep where scripts can read it.

A session is signed with the server's secret and with the key that it was made from. So nothing is stored, every process
with the same secret knows it, it ends when its key is revoked, and a stolen file of keys makes none.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from typing import Final

from starlette.requests import cookie_parser

__all__ = ["COOKIE", "LIFE_SECONDS", "SAFE_METHODS", "Sessions", "cookie_of", "is_own_page"]

COOKIE: Final = "usechat-session"
LIFE_SECONDS: Final = 7 * 24 * 3600
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
SAME_PAGE: Final = ("same-origin", "none")


class Sessions:
    """Makes and checks what the cookie holds.

    Args:
        secret: Signs them.
    """

    def __init__(self, secret: str) -> None:
        self._secret = hmac.digest(secret.encode(), b"usechat session", "sha256")
        self._known: Mapping[str, object] = {}
        self._digests: dict[str, str] = {}

    def make(self, digest: str) -> str:
        """Return a session of the key with this digest."""
        end = int(time.time()) + LIFE_SECONDS
        return f"{self._name(digest)}.{end}.{self._sign(digest, end)}"

    def find(self, value: str, known: Mapping[str, object]) -> str | None:
        """Return the digest of the key that a session was made from; None if it is forged, over, or its key is gone.

        Args:
            value: What the cookie holds.
            known: The keys in force, by digest; another object each time that they have changed.
        """
        if known is not self._known:
            self._known, self._digests = known, {self._name(digest): digest for digest in known}
        name, _, rest = value.partition(".")
        end, _, signature = rest.partition(".")
        digest = self._digests.get(name)
        if digest is None or not (end.isascii() and end.isdecimal()) or len(end) > 12:
            return None
        is_ours = hmac.compare_digest(signature.encode(), self._sign(digest, int(end)).encode())
        return digest if is_ours and time.time() < int(end) else None

    def _name(self, digest: str) -> str:
        return self._hex(f"name {digest}")[:32]

    def _sign(self, digest: str, end: int) -> str:
        return self._hex(f"until {end} {digest}")

    def _hex(self, text: str) -> str:
        return hmac.digest(self._secret, text.encode(), "sha256").hex()


def cookie_of(headers: Mapping[str, str], name: str | None) -> str | None:
    """Return what a cookie of a request holds; None without it."""
    given = headers.get("cookie")
    if name is None or given is None:
        return None
    # Not the standard library's parser: it reads no cookie at all if one of another application holds JSON.
    return cookie_parser(given).get(name)


def is_own_page(headers: Mapping[str, str], method: str) -> bool:
    """Return whether a request comes from a page of this server, or from nothing that is a page."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if site is not None:
        # The browser has compared the addresses that it knows, whatever a proxy makes of the host: `next dev` does.
        return site in SAME_PAGE
    if origin is not None:
        # A page can send the second one only if its own server or our CORS allows it.
        return origin.partition("://")[2] in (headers.get("host"), headers.get("x-forwarded-host"))
    # An old browser, which names the origin of each request that changes something.
    return method in SAFE_METHODS
