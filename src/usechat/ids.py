"""Ids as the AI SDK makes them: letters and digits, with a prefix."""

from __future__ import annotations

import os
import string

__all__ = ["generate_id"]

ALPHABET = string.ascii_letters + string.digits
_LETTERS = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
"""The letter or digit for each byte."""


def generate_id(prefix: str = "", size: int = 24) -> str:
    """Return a random id of ``size`` letters and digits, after ``prefix-`` where there is a prefix.

    The AI SDK's own are of 16, those of its messages of 24.
    """
    text = os.urandom(size).translate(_LETTERS).decode()
    return f"{prefix}-{text}" if prefix else text
