"""Finds what the page's build has compressed: ``app.js.br`` and ``app.js.gz`` beside ``app.js``.

``web/compress.mjs`` writes both, at a strength that would be too slow for each request.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

__all__ = ["accepted_encodings", "find_compressed"]

SUFFIXES: Final[Mapping[str, str]] = {"br": ".br", "gzip": ".gz"}
"""By content coding, the smallest first."""
GZIP_TRAILER_BYTES: Final = 8


def accepted_encodings(accept_encoding: str) -> list[str]:
    """Return the codings of `SUFFIXES` that a client takes, the one that it likes best first (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for item in accept_encoding.lower().split(","):
        name, _, parameter = item.partition(";")
        weights[name.strip()] = read_weight(parameter)
    others = weights.get("*", 0.0)
    liked = {name: weights.get(name, others) for name in SUFFIXES}
    if liked["gzip"] == 0.0 and "x-gzip" in weights:
        liked["gzip"] = weights["x-gzip"]
    return sorted((name for name in liked if liked[name] > 0), key=lambda name: -liked[name])


def read_weight(parameter: str) -> float:
    """Return the weight in ``q=0.5``: 1 without one, 0 where it cannot be read."""
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def find_compressed(path: Path, found: os.stat_result, accept_encoding: str) -> tuple[str, Path, os.stat_result] | None:
    """Return the coding, path and status of the compressed file that a client gets in place of a file, if there is one.

    Args:
        path: The file itself.
        found: Its status.
        accept_encoding: What the client takes.
    """
    for encoding in accepted_encodings(accept_encoding):
        compressed = path.with_name(path.name + SUFFIXES[encoding])
        try:
            its_status = compressed.stat(follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISREG(its_status.st_mode) and is_current(path, found.st_mtime_ns, found.st_size):
            return encoding, compressed, its_status
    return None


@lru_cache(maxsize=1024)
def is_current(path: Path, _mtime_ns: int, size: int) -> bool:
    """Return whether the compressed files were made of what the file holds now.

    Times tell nothing of that: an installer writes a wheel's files in any order. The end of a gzip file has the
    checksum and the size of what is in it, and the other file is made together with it.
    """
    try:
        packed, plain = path.with_name(path.name + SUFFIXES["gzip"]).read_bytes(), path.read_bytes()
    except OSError:
        return False
    trailer = zlib.crc32(plain).to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")
    return packed[-GZIP_TRAILER_BYTES:] == trailer
