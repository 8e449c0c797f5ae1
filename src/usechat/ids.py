"""Makes ids like those of the AI SDK: letters and digits, with a prefix."""

from __future__ import annotations

import os
import string

__all__ = ["generate_id"]

ALPHABET = string.ascii_letters + string.digits
_LETTERS = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
"""The letter or digit for each byte."""


def generate_id(prefix: str = "", size: int = 24) -> str:
    """Return a random id of ``size`` letters and digits, after ``prefix-`` if there is a prefix.

    The AI SDK's ids have 16 characters, its message ids 24.
    """
    text = os.urandom(size).translate(_LETTERS).decode()
    return f"{prefix}-{text}" if prefix else text
