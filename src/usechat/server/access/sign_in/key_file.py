"""API keys with names, in a file that holds only their digests: made, listed and revoked by ``usechat keys``.

A key has 256 random bits, so that one SHA-256 of it is as good as any slow digest: nobody can try them all.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from usechat.errors import ConfigurationError

__all__ = ["KeyFile", "NamedKey", "digest_of"]

PREFIX: Final = "uck_"
"""Begins each key, so that people and scanners of leaked secrets know it for one."""
FRESH_SECONDS: Final = 1.0
"""Seconds for which the file is not looked at again."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class NamedKey:
    """A key: its user, its digest and its dates."""

    name: str
    """Whose it is: the user of its requests."""
    digest: str
    made: float
    revoked: float | None = None


def digest_of(key: str) -> str:
    """Return what is stored of a key."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()


class KeyFile:
    """The keys of a file. Another process may change it at any time.

    Args:
        path: The file, made with the first key.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: dict[str, str] = {}
        self.seen: tuple[int, int, int] | None = None
        self.fresh_until = 0.0

    def find(self, key: str) -> str | None:
        """Return the name of a key that is in force."""
        return self.in_force().get(digest_of(key))

    def in_force(self) -> Mapping[str, str]:
        """Return the names of the keys that are in force, by digest: another object when they have changed."""
        now = time.monotonic()
        if now >= self.fresh_until:
            self.fresh_until = now + FRESH_SECONDS
            self._look()
        return self.names

    def _look(self) -> None:
        try:
            found = self.path.stat()
        except OSError:
            # A file that is gone lets nobody in.
            self.names, self.seen = {}, None
            return
        state = (found.st_mtime_ns, found.st_ino, found.st_size)
        if state != self.seen:
            self.seen = state
            try:
                self.names = {key.digest: key.name for key in self.read() if key.revoked is None}
            except ConfigurationError as error:
                self.names = {}
                logger.error("no key of the file counts: %s", error)  # noqa: TRY400 - its text says all

    def read(self) -> Sequence[NamedKey]:
        """Return all keys, revoked ones included, oldest first.

        Raises:
            ConfigurationError: The file is not one of keys.
        """
        try:
            stored: Any = json.loads(self.path.read_text())
            return [NamedKey(**each) for each in stored["keys"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError) as error:
            reason = type(error).__name__
            raise ConfigurationError(f"USECHAT_KEYS_FILE: {self.path} is no file of keys ({reason}).") from None

    def make(self, name: str) -> str:
        """Make a key for a name and return it: it is shown once, and stored nowhere.

        Raises:
            ConfigurationError: The name has a key, is empty, or cannot be printed; or the file cannot be written.
        """
        keys = self.read()
        if not name or not name.isprintable() or len(name) > 100:
            raise ConfigurationError("the name of a key must be 1 to 100 printable characters.")
        if any(key.name == name and key.revoked is None for key in keys):
            raise ConfigurationError(f"there is a key named {name}: revoke it first, or choose another name.")
        made = PREFIX + secrets.token_urlsafe(32)
        self._write([*keys, NamedKey(name=name, digest=digest_of(made), made=time.time())])
        return made

    def revoke(self, name: str) -> None:
        """Let a key open nothing from now on; running servers notice within a second or two.

        Raises:
            ConfigurationError: No key in force has this name, or the file cannot be written.
        """
        keys = self.read()
        if not any(key.name == name and key.revoked is None for key in keys):
            raise ConfigurationError(f"there is no key named {name} in force.")
        now = time.time()
        is_meant = [key.name == name and key.revoked is None for key in keys]
        self._write([replace(key, revoked=now) if is_it else key for key, is_it in zip(keys, is_meant, strict=True)])

    def _write(self, keys: Sequence[NamedKey]) -> None:
        # A server that reads meanwhile sees the file before or after, never half of it. Its mode is always 0600.
        text = json.dumps({"keys": [asdict(key) for key in keys]}, indent=1)
        try:
            descriptor, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}-")
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            Path(temporary).replace(self.path)
        except OSError as error:
            raise ConfigurationError(f"USECHAT_KEYS_FILE: {self.path} cannot be written ({error.strerror}).") from error
