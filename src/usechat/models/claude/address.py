"""Clean or refuse the base URL and the keys that a user sets for an Anthropic-like server.

The ``anthropic`` package uses them unchecked: a base URL that ends in ``/v1`` leads to requests to ``/v1/v1/messages``
and "404" in the log, an empty one to a request without a host, and a key with a line end to an error of the HTTP
client.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from usechat.errors import ConfigurationError

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

__all__ = ["DEFAULT_BASE_URL", "clean_client", "read_base_url", "read_key"]

DEFAULT_BASE_URL: Final = "https://api.anthropic.com"
_KEY: Final = re.compile(r"[!-~]+")
_AROUND: Final = re.compile(r"^(?:%20)+|(?:%20|/)+$")
_SCHEMES: Final = frozenset({"http", "https"})


def read_base_url(text: str | None, name: str = "ANTHROPIC_BASE_URL") -> str | None:
    """Return a base URL without ``/v1`` and slashes at its end; ``None`` for a blank one.

    Args:
        text: The URL as the user wrote it.
        name: The name of the setting, for the error.

    Raises:
        ConfigurationError: The text is not a URL of http or https.
    """
    url = (text or "").strip()
    if not url:
        return None
    try:
        split = urlsplit(url)
        is_right = split.scheme.lower() in _SCHEMES and bool(split.hostname) and url.isprintable() and " " not in url
        # Reading `port` raises ValueError for an invalid port; `urlsplit` does not.
        is_right = is_right and (split.port is None or split.port > 0)
    except ValueError:
        is_right = False
    if not is_right:
        raise ConfigurationError(
            f"{name} must be a URL such as {DEFAULT_BASE_URL}, with http:// or https:// before it."
        )
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def read_key(text: str | None, name: str = "ANTHROPIC_API_KEY") -> str | None:
    """Return a key without white space around it; ``None`` for a blank one.

    Args:
        text: The key as the user wrote it.
        name: The name of the setting, for the error.

    Raises:
        ConfigurationError: The key cannot be sent in a header. The text of the error does not contain the key.
    """
    key = (text or "").strip()
    if not key:
        return None
    if _KEY.fullmatch(key) is None:
        raise ConfigurationError(f"{name} must be one word of printable characters.")
    return key


def clean_client(client: AsyncAnthropic) -> None:
    """Clean the base URL and the keys that a client has read from the environment.

    Raises:
        ConfigurationError: A key or the address is wrong.
    """
    # The package has already escaped spaces at the end and added a slash.
    client.base_url = read_base_url(_AROUND.sub("", str(client.base_url))) or DEFAULT_BASE_URL
    client.api_key = read_key(client.api_key)
    client.auth_token = read_key(client.auth_token, "ANTHROPIC_AUTH_TOKEN")
