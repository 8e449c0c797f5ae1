"""Ids as the AI SDK makes them: letters and digits, with a prefix."""

from __future__ import annotations

import secrets
import string

__all__ = ["generate_id"]

ALPHABET = string.ascii_letters + string.digits
_LETTERS = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
"""The letter or digit for each byte."""


def generate_id(prefix: str = "", size: int = 24) -> str:
    """A random id of ``size`` letters and digits after ``prefix-``; 16 are the SDK's default, 24 its message ids'."""
    token = secrets.token_bytes(size).translate(_LETTERS).decode()
    return f"{prefix}-{token}" if prefix else token
