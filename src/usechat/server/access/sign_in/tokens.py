"""Users by JSON Web Tokens, which another service signs: with a shared secret, or with keys that it publishes.

Source: RFC 7519 (tokens), RFC 7517 (key sets), RFC 8725 (which algorithm belongs to which key). PyJWT checks them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import urllib.request
from typing import Any, Final

from usechat.errors import ConfigurationError
from usechat.server.loopback import is_loopback_url
from usechat.server.settings import Settings

__all__ = ["KeySet", "TokenError", "Tokens"]

BY_SECRET: Final = "HS256"  # noqa: S105 - the name of an algorithm
BY_KEY: Final = ("RS256", "ES256")
LIFE_SECONDS: Final = 600.0
"""Seconds for which a key set counts as the service's present one."""
PAUSE_SECONDS: Final = 10.0
"""Seconds between two fetches: a stranger can name keys that are nowhere as often as they like."""
FETCH_SECONDS: Final = 5.0
MAX_SET_BYTES: Final = 2**20

logger = logging.getLogger(__name__)


class TokenError(Exception):
    """A token opens nothing. Its text is for the client."""


class KeySet:
    """The public keys of the service that signs.

    Args:
        url: Where the service publishes them.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str | None, Any] = {}
        self.fetched_at = -LIFE_SECONDS
        self.tried_at = -PAUSE_SECONDS
        self.fetching: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None) -> Any:
        """Return the key with an id; None when there is none. A token without an id means the only key.

        New keys are fetched when an unknown one is named. Old ones count for as long as the service cannot be reached.
        """
        now = time.monotonic()
        is_old = now - self.fetched_at >= LIFE_SECONDS
        if (is_old or self._get(key_id) is None) and now - self.tried_at >= PAUSE_SECONDS:
            self.tried_at = now
            self.fetching = asyncio.ensure_future(self._fetch())
        if self.fetching is not None and not self.fetching.done():
            # A caller that leaves must not end the fetch for the others.
            await asyncio.shield(self.fetching)
        return self._get(key_id)

    def _get(self, key_id: str | None) -> Any:
        if key_id is None and len(self.keys) == 1:
            return next(iter(self.keys.values()))
        return self.keys.get(key_id)

    async def _fetch(self) -> None:
        import jwt

        try:
            document = await asyncio.to_thread(self._download)
            keys = {each.key_id: each for each in jwt.PyJWKSet.from_dict(document).keys}
        except Exception as error:  # noqa: BLE001 - whatever is wrong there, the keys that there are go on to count
            logger.warning("the keys of %s cannot be fetched: %s", self.url, type(error).__name__)
            return
        self.keys, self.fetched_at = keys, time.monotonic()

    def _download(self) -> Any:
        with urllib.request.urlopen(self.url, timeout=FETCH_SECONDS) as answered:  # noqa: S310 - the settings checked it
            return json.loads(answered.read(MAX_SET_BYTES))


class Tokens:
    """Check tokens.

    Args:
        settings: The secret or the key set, and what a token must claim.

    Raises:
        ConfigurationError: PyJWT is not installed, or the settings make no sense.
    """

    def __init__(self, settings: Settings) -> None:
        from usechat.extras import needing

        with needing("jwt"):
            import jwt

        self.jwt: Any = jwt
        secret, url = settings.jwt_secret, settings.jwt_jwks_url
        if url is not None and not url.startswith("https://") and not is_loopback_url(url):
            raise ConfigurationError("USECHAT_JWT_JWKS_URL must begin with https://.")
        self.secret = None if secret is None else secret.get_secret_value()
        self.key_set = None if url is None else KeySet(url)
        self.options: dict[str, Any] = {
            "audience": settings.jwt_audience,
            "issuer": settings.jwt_issuer,
            "leeway": settings.jwt_leeway_seconds,
            "options": {"require": ["exp", "sub"]},
        }

    async def user_of(self, token: str) -> str:
        """Return the user whom a token names.

        Raises:
            TokenError: It is forged, over, for somebody else, or names nobody.
        """
        try:
            algorithm, key = await self._key_of(self.jwt.get_unverified_header(token))
            claims = self.jwt.decode(token, key, algorithms=[algorithm], **self.options)
        except self.jwt.ExpiredSignatureError:
            raise TokenError("The token has expired.") from None
        except (self.jwt.PyJWTError, ValueError, TypeError):
            raise TokenError("The token is not valid.") from None
        user = claims["sub"]
        if not isinstance(user, str) or not user:
            raise TokenError("The token names no user.")
        return user

    async def _key_of(self, head: dict[str, Any]) -> tuple[str, Any]:
        """Return the algorithm and the key that are allowed for a token, by what its head says."""
        if head.get("alg") == BY_SECRET and self.secret is not None:
            return BY_SECRET, self.secret
        if self.key_set is not None:
            key = await self.key_set.find(head.get("kid"))
            # The key says which algorithm it is for: a token cannot choose another.
            if key is not None and key.algorithm_name in BY_KEY:
                return key.algorithm_name, key.key
        raise TokenError("The token is not valid.")
