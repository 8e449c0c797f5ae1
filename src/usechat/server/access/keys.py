"""Who asks: keys and tokens for the routes below ``/api``, and the user whom each of them names."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Final, NamedTuple

from fastapi import HTTPException
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import HTTPConnection

from usechat.ids import generate_id
from usechat.server.access.asking import Asking, asking, current_user, note
from usechat.server.access.bills import Costs
from usechat.server.access.key_file import KeyFile
from usechat.server.access.quotas import LimitError
from usechat.server.access.tokens import TokenError, Tokens
from usechat.server.settings import Settings

__all__ = ["Found", "KeyGuard"]

NO_KEY: Final = "An API key is needed: send the header Authorization: Bearer KEY."
WRONG_KEY: Final = "The API key is not valid."
OTHER_PAGE: Final = "The cookie counts on pages of this server only."
NOT_SET_UP: Final = (
    "This deployment is not open yet: set USECHAT_API_KEYS in its environment variables, "
    "or USECHAT_INSECURE=1 to let everybody in, and deploy again."
)
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
SAME_PAGE: Final = ("same-origin", "none")


class Found(NamedTuple):
    """What is known of who asks."""

    user: str | None = None
    refusal: str | None = None
    """Why they may not."""


class KeyGuard(HTTPBearer):
    """Refuse requests that carry no valid key; a dependency of routes, which ``/openapi.json`` shows as their security.

    Args:
        settings: The keys and tokens; without any, everybody gets in.
        is_public: Whether the whole internet can reach this process. Then no keys means nobody gets in, unless the
            settings say that everybody may.
        costs: Counts what comes over a WebSocket, which passes the gate; None to count nothing.

    Raises:
        ConfigurationError: The settings of tokens or the file of keys are wrong, or PyJWT is not installed.
    """

    def __init__(self, settings: Settings, *, is_public: bool, costs: Costs | None = None) -> None:
        super().__init__(scheme_name="HTTPBearer", description="One of the server's API keys, or a token of its users.")
        # Digests have one length, so the time of a comparison does not even tell a key's length.
        self._digests = [digest(key) for key in settings.keys]
        self._file = None if settings.keys_file is None else KeyFile(settings.keys_file)
        if self._file is not None:
            self._file.read()
        self._tokens = Tokens(settings) if settings.has_tokens else None
        self._cookie = settings.jwt_cookie
        self._costs = costs
        self._is_open = not settings.has_guard
        self._is_closed = is_public and not settings.has_guard and not settings.insecure

    async def __call__(self, request: HTTPConnection) -> str:  # pyright: ignore[reportIncompatibleMethodOverride] - ours
        """Check one request, see `check`, and return the owner of its chats.

        What the gate has let in is not checked again.

        Raises:
            HTTPException: As for `check`; 429 and 503 for a frame of a WebSocket that is one too many.
        """
        if not request.scope.get(CHECKED):
            # Each frame of a WebSocket is a request of its own, and may be another user's.
            address = request.client.host if request.client else "-"
            asking.set(Asking(generate_id("req", 20), address=address))
            await self.check(request.headers, request.scope.get("method", "GET"))
            await self._count()
        return current_user()

    async def _count(self) -> None:
        if self._costs is None:
            return
        try:
            await self._costs.admit(asking.get(), makes_answer=True)
        except LimitError as error:
            headers = {"retry-after": str(error.retry_after)}
            raise HTTPException(error.status, str(error), headers=headers) from None

    async def check(self, headers: Mapping[str, str], method: str = "GET") -> None:
        """Check one request by its headers, and note its user.

        Raises:
            HTTPException: 401 without a valid key; 503 when nobody has set keys where they are needed.
        """
        refusal = await self.authorize(headers, method)
        if refusal is not None:
            status = 503 if self._is_closed else 401
            raise HTTPException(status, refusal, headers={"www-authenticate": "Bearer"} if status == 401 else None)

    async def authorize(self, headers: Mapping[str, str], method: str = "GET") -> str | None:
        """Return the reason to refuse a request with these headers; None to accept it, with its user noted."""
        found = await self.identify(headers, method)
        if found.user is not None:
            note(user=found.user)
        return found.refusal

    async def identify(self, headers: Mapping[str, str], method: str = "GET") -> Found:
        """Return who sends these headers."""
        if self._is_closed or self._is_open:
            return Found(refusal=NOT_SET_UP if self._is_closed else None)
        scheme, key = get_authorization_scheme_param(headers.get("authorization"))
        if key and scheme.lower() == "bearer":
            return await self._find(key)
        token = self._token_of_cookie(headers)
        if token is None or self._tokens is None:
            return Found(refusal=NO_KEY)
        # A browser sends cookies with what other pages ask for.
        return await self._find_token(token) if is_own_page(headers, method) else Found(refusal=OTHER_PAGE)

    async def _find(self, key: str) -> Found:
        if self.knows(key):
            return Found()
        name = None if self._file is None else self._file.find(key)
        if name is not None:
            return Found(f"key:{name}")
        # A token has two dots, and a key of ours has none.
        if self._tokens is not None and key.count(".") == 2:
            return await self._find_token(key)
        return Found(refusal=WRONG_KEY)

    async def _find_token(self, token: str) -> Found:
        assert self._tokens is not None
        try:
            return Found(f"user:{await self._tokens.user_of(token)}")
        except TokenError as error:
            return Found(refusal=str(error))

    def _token_of_cookie(self, headers: Mapping[str, str]) -> str | None:
        given = headers.get("cookie")
        if self._cookie is None or given is None:
            return None
        try:
            found = SimpleCookie(given).get(self._cookie)
        except CookieError:
            return None
        return None if found is None else found.value

    def knows(self, key: str) -> bool:
        """Return whether the key is one of the settings'; takes the same time for every key."""
        given, is_known = digest(key), False
        for one in self._digests:
            is_known |= hmac.compare_digest(given, one)
        return is_known


CHECKED: Final = "usechat.checked"
"""The key of a request's scope by which the gate tells the routes that it has checked the request."""


def is_own_page(headers: Mapping[str, str], method: str) -> bool:
    """Return whether a request comes from a page of this server, or from nothing that is a page."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None:
        return origin.partition("://")[2] == headers.get("host")
    if site is not None:
        return site in SAME_PAGE
    # An old browser: it names an origin with whatever changes something.
    return method in SAFE_METHODS


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
