"""Draw the demo's picture, hills at sunset, as a PNG. Knows nothing of chats.

The format is in https://www.w3.org/TR/png-3/: signature, IHDR, IDAT with one filter byte for each row, IEND.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from math import hypot, sin

__all__ = ["HEIGHT", "WIDTH", "sunset_png"]

WIDTH, HEIGHT = 480, 270

_Colour = tuple[float, float, float]

_SKY: tuple[tuple[float, _Colour], ...] = (
    (0.0, (38, 30, 84)),
    (0.35, (126, 58, 124)),
    (0.6, (233, 108, 98)),
    (0.8, (252, 190, 120)),
    (1.0, (255, 226, 170)),
)
"""Colours of the sky from the top (0) to the horizon (1), as red, green and blue from 0 to 255."""
_SUN: _Colour = (255, 244, 214)
_SUN_X, _SUN_Y, _SUN_RADIUS = 320.0, 150.0, 30.0
_GLOW = 130.0
_HILLS: tuple[tuple[float, float, float, _Colour], ...] = (
    (172, 16, 0.011, (150, 72, 120)),
    (196, 20, 0.017, (92, 48, 104)),
    (222, 18, 0.023, (48, 30, 76)),
    (246, 12, 0.031, (20, 16, 44)),
)
"""The ranges of hills from far to near: y of the ridge in pixels, amplitude in pixels, frequency, and colour."""


@cache
def sunset_png() -> bytes:
    """Return the picture as PNG, `WIDTH` by `HEIGHT` pixels. The first call takes a third of a second to draw it."""
    rows = b"".join(b"\x00" + row for row in _rows())
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _rows() -> Iterator[bytes]:
    ridges = [_ridge(*shape[:3]) for shape in _HILLS]
    for y in range(HEIGHT):
        sky = _sky(y / _HILLS[-1][0])
        row = bytearray()
        for x in range(WIDTH):
            colour = _sunlit(sky, hypot(x - _SUN_X, y - _SUN_Y))
            for ridge, (_, _, _, hill) in zip(ridges, _HILLS, strict=True):
                # The share of the pixel below the ridge, for a smooth edge.
                colour = _mix(colour, hill, min(max(y + 1 - ridge[x], 0.0), 1.0))
            row += bytes(map(int, colour))
        yield bytes(row)


def _ridge(height: float, amplitude: float, frequency: float) -> list[float]:
    return [
        height + amplitude * (sin(x * frequency + height) + 0.45 * sin(x * frequency * 2.7 + amplitude)) / 1.45
        for x in range(WIDTH)
    ]


def _sky(depth: float) -> _Colour:
    for (above, upper), (below, lower) in pairwise(_SKY):
        if depth <= below:
            return _mix(upper, lower, (depth - above) / (below - above))
    return _SKY[-1][1]


def _sunlit(sky: _Colour, distance: float) -> _Colour:
    glow = 0.55 * max(1 - distance / _GLOW, 0.0) ** 2
    disc = min(max(_SUN_RADIUS - distance, 0.0), 1.0)
    return _mix(_mix(sky, _SUN, glow), _SUN, disc)


def _mix(a: _Colour, b: _Colour, share: float) -> _Colour:
    if share <= 0:
        return a
    rest = 1 - share
    return (a[0] * rest + b[0] * share, a[1] * rest + b[1] * share, a[2] * rest + b[2] * share)
