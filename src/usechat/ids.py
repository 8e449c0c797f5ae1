"""Ids as the AI SDK makes them: letters and digits, with a prefix."""

from __future__ import annotations

import secrets
import string

__all__ = ["generate_id"]

ALPHABET = string.ascii_letters + string.digits


def generate_id(prefix: str = "", size: int = 24) -> str:
    """A random id of ``size`` letters and digits after ``prefix-``; 16 are the SDK's default, 24 its message ids'."""
    token = "".join(ALPHABET[byte % len(ALPHABET)] for byte in secrets.token_bytes(size))
    return f"{prefix}-{token}" if prefix else token
