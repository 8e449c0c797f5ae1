"""Ids as the AI SDK makes them: letters and digits, with a prefix."""

from __future__ import annotations

import os
import string

__all__ = ["generate_id"]

ALPHABET = string.ascii_letters + string.digits
_LETTERS = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
"""The letter or digit for each byte."""
_STOCK_BYTES = 1024

_stock: list[bytes] = []
"""Random bytes in pieces of 32, none of which is used twice: an answer takes six ids, and to ask the system for each
lets other threads in. A list's ``pop`` is safe between threads."""


def generate_id(prefix: str = "", size: int = 24) -> str:
    """A random id of ``size`` letters and digits after ``prefix-``; 16 are the SDK's default, 24 its message ids'."""
    if size > 32:
        token = os.urandom(size)
    else:
        try:
            token = _stock.pop()[:size]
        except IndexError:
            drawn = os.urandom(_STOCK_BYTES)
            _stock.extend(drawn[start : start + 32] for start in range(32, _STOCK_BYTES, 32))
            token = drawn[:size]
    text = token.translate(_LETTERS).decode()
    return f"{prefix}-{text}" if prefix else text


# What a process that is forked has, its parent has too.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_stock.clear)
