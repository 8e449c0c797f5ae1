"""Keys, sessions, tokens and the application's own function, and the user whom each of them names."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from fastapi import HTTPException
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import HTTPConnection

from usechat.ids import generate_id
from usechat.server.access.asking import Asking, asking, current_user, note
from usechat.server.access.limits.bills import Costs
from usechat.server.access.limits.quotas import LimitError
from usechat.server.access.sign_in.key_file import KeyFile, digest_of
from usechat.server.access.sign_in.own_user import OwnUser, UserOf
from usechat.server.access.sign_in.sessions import COOKIE, Sessions, cookie_of, is_own_page
from usechat.server.access.sign_in.tokens import TokenError, Tokens
from usechat.server.settings import Settings
from usechat.tools.approvals import process_secret

__all__ = ["Found", "KeyGuard"]

NO_KEY: Final = "An API key is needed: send the header Authorization: Bearer KEY."
WRONG_KEY: Final = "The API key is not valid."
NO_USER: Final = "You are not signed in."
SESSION_OVER: Final = "The session is over. Sign in again."
OTHER_PAGE: Final = "The cookie counts on pages of this server only."
NOT_SET_UP: Final = (
    "This deployment is not open yet: set USECHAT_API_KEYS in its environment variables, "
    "or USECHAT_INSECURE=1 to let everybody in, and deploy again."
)


class Found(NamedTuple):
    """The user of a request, or the reason to refuse it."""

    user: str | None = None
    refusal: str | None = None
    """Why they may not."""


class KeyGuard(HTTPBearer):
    """Refuse requests of strangers; a dependency of routes, which ``/openapi.json`` shows as their security.

    Args:
        settings: The keys and tokens; without any, and without ``user``, everybody gets in.
        is_public: Whether the whole internet can reach this process. Then no keys means nobody gets in, unless the
            settings say that everybody may.
        costs: Counts what comes over a WebSocket, which passes the gate; None to count nothing.
        user: The application's function, asked where neither a key nor a token says who it is.

    Raises:
        ConfigurationError: The settings of tokens or the file of keys are wrong, PyJWT is not installed, or ``user``
            is no function.
    """

    def __init__(
        self, settings: Settings, *, is_public: bool, costs: Costs | None = None, user: UserOf | None = None
    ) -> None:
        super().__init__(scheme_name="HTTPBearer", description="One of the server's API keys, or a token of its users.")
        # Digests have one length, so the time of a comparison does not even tell a key's length.
        self._digests = [digest(key) for key in settings.keys]
        self._file = None if settings.keys_file is None else KeyFile(settings.keys_file)
        if self._file is not None:
            self._file.read()
        self._tokens = Tokens(settings) if settings.has_tokens else None
        self._cookie = settings.jwt_cookie
        secret = process_secret() if settings.approval_secret is None else settings.approval_secret.get_secret_value()
        self._own_digests = dict.fromkeys(map(digest_of, settings.keys))
        self._own_sessions, self._file_sessions = Sessions(secret), Sessions(secret)
        self._own_user = None if user is None else OwnUser(user)
        self._sign_in_url = settings.sign_in_url
        self._costs = costs
        self.is_open = not settings.has_guard and user is None
        """Whether nothing is asked for: everybody gets in, or nobody does where the internet can reach the process."""
        self._is_closed = is_public and self.is_open and not settings.insecure

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
            await self.check(request)
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

    async def check(self, request: HTTPConnection) -> None:
        """Check one request by its head, and note its user.

        Raises:
            HTTPException: 401 for a stranger; 503 when nobody has set keys where they are needed; whatever the
                application's function raises.
        """
        found = await self.identify(request)
        if found.refusal is not None:
            status = 503 if self._is_closed else 401
            raise HTTPException(
                status, found.refusal, headers={"www-authenticate": "Bearer"} if status == 401 else None
            )
        if found.user is not None:
            note(user=found.user)

    async def identify(self, request: HTTPConnection) -> Found:
        """Return who sends a request.

        Raises:
            HTTPException: As the application's function does.
        """
        if self.is_open:
            return Found(refusal=NOT_SET_UP if self._is_closed else None)
        found = await self._find_by_head(request.headers, request.scope.get("method", "GET"))
        if found.refusal is None or self._own_user is None:
            return found
        user = await self._own_user.ask(without_foreign_cookies(request))
        if user is not None:
            return Found(f"user:{user}")
        return Found(refusal=NO_USER if found.refusal == NO_KEY else found.refusal)

    def describe_sign_in(self) -> dict[str, Any]:
        """Return what a page needs to know to sign its visitor in. It is told to everybody."""
        takes_keys = bool(self._digests) or self._file is not None
        takes = {
            "key": takes_keys,
            "token": self._tokens is not None,
            "cookie": self._tokens is not None and self._cookie is not None,
            "application": self._own_user is not None,
        }
        ways = [way for way, is_taken in takes.items() if is_taken]
        return {"ways": ways, "session": takes_keys, "url": self._sign_in_url}

    def make_session(self, request: HTTPConnection) -> str | None:
        """Return a session of the key that a request carries; None without one."""
        key = bearer_of(request.headers)
        if key is None:
            return None
        if self.knows(key):
            return self._own_sessions.make(digest_of(key))
        if self._file is None or self._file.find(key) is None:
            return None
        return self._file_sessions.make(digest_of(key))

    async def _find_by_head(self, headers: Mapping[str, str], method: str) -> Found:
        key = bearer_of(headers)
        if key is not None:
            return await self._find(key)
        session, token = cookie_of(headers, COOKIE), cookie_of(headers, self._cookie)
        if session is None and (token is None or self._tokens is None):
            return Found(refusal=NO_KEY)
        # A browser sends cookies with what other pages ask for.
        if not is_own_page(headers, method):
            return Found(refusal=OTHER_PAGE)
        found = Found(refusal=NO_KEY) if session is None else self._find_session(session)
        if found.refusal is None or token is None or self._tokens is None:
            return found
        return await self._find_token(token)

    def _find_session(self, session: str) -> Found:
        if self._own_sessions.find(session, self._own_digests) is not None:
            return Found()
        if self._file is not None:
            names = self._file.in_force()
            digest = self._file_sessions.find(session, names)
            if digest is not None:
                return Found(f"key:{names[digest]}")
        return Found(refusal=SESSION_OVER)

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

    def knows(self, key: str) -> bool:
        """Return whether the key is one of the settings'; takes the same time for every key."""
        given, is_known = digest(key), False
        for one in self._digests:
            is_known |= hmac.compare_digest(given, one)
        return is_known


CHECKED: Final = "usechat.checked"
"""The key of a request's scope by which the gate tells the routes that it has checked the request."""


def bearer_of(headers: Mapping[str, str]) -> str | None:
    scheme, key = get_authorization_scheme_param(headers.get("authorization"))
    return key if key and scheme.lower() == "bearer" else None


def without_foreign_cookies(request: HTTPConnection) -> HTTPConnection:
    """Return a request without the cookies that another site's page has made a browser send."""
    if is_own_page(request.headers, request.scope.get("method", "GET")):
        return request
    kept = [(name, value) for name, value in request.scope["headers"] if name.lower() != b"cookie"]
    return HTTPConnection({**request.scope, "headers": kept})


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
