"""API keys for the routes below ``/api``."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from fastapi import HTTPException
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import HTTPConnection

from usechat.server.settings import Settings

__all__ = ["OWNER", "KeyGuard"]

OWNER: Final = "default"
"""The owner of every chat: API keys do not tell users apart."""

NO_KEY: Final = "An API key is needed: send the header Authorization: Bearer KEY."
WRONG_KEY: Final = "The API key is not valid."
NOT_SET_UP: Final = (
    "This deployment is not open yet: set USECHAT_API_KEYS in its environment variables, "
    "or USECHAT_INSECURE=1 to let everybody in, and deploy again."
)


class KeyGuard(HTTPBearer):
    """Refuse requests that carry no valid key; a dependency of routes, which ``/openapi.json`` shows as their security.

    Args:
        settings: The keys; without any, everybody gets in.
        is_public: Whether the whole internet can reach this process. Then no keys means nobody gets in, unless the
            settings say that everybody may.
    """

    def __init__(self, settings: Settings, *, is_public: bool) -> None:
        super().__init__(scheme_name="HTTPBearer", description="One of the server's API keys.")
        # Digests have one length, so the time of a comparison does not even tell a key's length.
        self._digests = [digest(key) for key in settings.keys]
        self._is_closed = is_public and not settings.keys and not settings.insecure

    async def __call__(self, request: HTTPConnection) -> str:  # pyright: ignore[reportIncompatibleMethodOverride] - ours
        """Check one request, see `check`, and return the owner of its chats."""
        self.check(request.headers)
        return OWNER

    def check(self, headers: Mapping[str, str]) -> None:
        """Check one request by its headers.

        Raises:
            HTTPException: 401 without a valid key; 503 when nobody has set keys where they are needed.
        """
        refusal = self.authorize(headers)
        if refusal is not None:
            status = 503 if self._is_closed else 401
            raise HTTPException(status, refusal, headers={"www-authenticate": "Bearer"} if status == 401 else None)

    def authorize(self, headers: Mapping[str, str]) -> str | None:
        """Return the reason to refuse a request with these headers; None to accept it."""
        scheme, key = get_authorization_scheme_param(headers.get("authorization"))
        return self.refusal(key if key and scheme.lower() == "bearer" else None)

    def refusal(self, key: str | None) -> str | None:
        """Return the reason to refuse this key, or a missing one; None to accept it."""
        if self._is_closed:
            return NOT_SET_UP
        if not self._digests or (key is not None and self.knows(key)):
            return None
        return NO_KEY if key is None else WRONG_KEY

    def knows(self, key: str) -> bool:
        """Return whether the key is one of the server's; takes the same time for every key."""
        given, is_known = digest(key), False
        for one in self._digests:
            is_known |= hmac.compare_digest(given, one)
        return is_known


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
