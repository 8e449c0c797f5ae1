"""A flame graph as a small SVG without scripts: a page of documentation can hold it.

The root is above. The width of a frame is its share of all samples; hovering over one shows its name and share.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape

__all__ = ["render_flame"]

_WIDTH, _ROW, _TOP, _LETTER = 1200, 16, 30, 6.1
_LEAST_SHARE = 0.003
"""Frames below that are left out: they are narrower than four pixels."""
_LOOP = "Runner.run (asyncio/runners.py)"
_LOOP_TITLE = "event loop: uvloop, and the system calls that it makes"
_IDLE = "WorkerThreads._work (usechat/chats/threads.py)"
"""As the innermost frame it is a thread that waits for work, which py-spy takes for one that is busy."""
_LINE_NUMBER = re.compile(r":\d+\)$")
_KINDS = (("own", "(usechat/"), ("server", "(uvicorn/", "(starlette/", "(fastapi/"), ("store", "(sqlalchemy/"))
_STYLE = """
  text { font: 10px ui-monospace, monospace; fill: #1f2328 } .title { font: 13px system-ui, sans-serif }
  rect { stroke: #fff; stroke-width: .5 }
  .own { fill: #8ec5ff } .server { fill: #ffd08a } .store { fill: #c3e6a8 } .other { fill: #d0d7de }
"""
_LEGEND = {"own": "usechat", "server": "FastAPI, Starlette, uvicorn", "store": "SQLAlchemy", "other": "everything else"}


@dataclass
class _Frame:
    name: str
    count: int = 0
    callees: dict[str, _Frame] = field(default_factory=dict[str, "_Frame"])


@dataclass(frozen=True)
class _Rect:
    frame: _Frame
    x: float
    width: float
    row: int


def render_flame(lines: Iterable[str], title: str) -> str:
    """Draw what py-spy writes in its raw format.

    Args:
        lines: Each a stack from the outermost frame on, joined by semicolons, and how often it was seen.
        title: What was measured.
    """
    root = _Frame("all")
    for line in lines:
        stack, _, count = line.strip().rpartition(" ")
        frames = _inner_frames(stack.split(";"))
        if count.isdecimal() and frames[-1] != _IDLE:
            _add(root, frames, int(count))
    rects = [*_draw(root, _WIDTH / max(1, root.count), 0.0, -1)]
    height = _TOP + max((rect.row for rect in rects), default=0) * _ROW + _ROW + 8
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
            *_legend(title),
            *(_element(rect, root.count) for rect in rects),
            "</svg>\n",
        ]
    )


def _inner_frames(stack: list[str]) -> list[str]:
    """The frames below the event loop's: what started the server is the same in all."""
    names = [_LINE_NUMBER.sub(")", frame) for frame in stack]
    start = names.index(_LOOP) if _LOOP in names else 0
    return [_LOOP_TITLE if name == _LOOP else name for name in names[start:]]


def _add(root: _Frame, names: Iterable[str], count: int) -> None:
    frame = root
    frame.count += count
    for name in names:
        frame = frame.callees.setdefault(name, _Frame(name))
        frame.count += count


def _by_width(frame: _Frame) -> list[_Frame]:
    return sorted(frame.callees.values(), key=lambda callee: -callee.count)


def _draw(frame: _Frame, scale: float, x: float, row: int) -> Iterator[_Rect]:
    if row >= 0:
        yield _Rect(frame, x, frame.count * scale, row)
    for callee in _by_width(frame):
        if callee.count * scale >= _WIDTH * _LEAST_SHARE:
            yield from _draw(callee, scale, x, row + 1)
        x += callee.count * scale


def _element(rect: _Rect, total: int) -> str:
    name, y = rect.frame.name, _TOP + rect.row * _ROW
    kind = next((kind for kind, *places in _KINDS if any(place in name for place in places)), "other")
    hint = escape(f"{name}: {100 * rect.frame.count / total:.1f} %")
    drawn = f'<rect class="{kind}" x="{rect.x:.1f}" y="{y}" width="{rect.width:.1f}" height="{_ROW}"/>'
    label = name.partition(" (")[0].rpartition(".<locals>.")[2][: int((rect.width - 4) / _LETTER)]
    text = f'<text x="{rect.x + 2:.1f}" y="{y + 11}">{escape(label)}</text>' if len(label) > 2 else ""
    return f"<g><title>{hint}</title>{drawn}{text}</g>"


def _legend(title: str) -> Iterator[str]:
    yield f'<text class="title" x="4" y="18">{escape(title)}</text>'
    x = _WIDTH - 560
    for kind, meaning in _LEGEND.items():
        yield f'<rect class="{kind}" x="{x}" y="8" width="12" height="12"/>'
        yield f'<text x="{x + 16}" y="18">{meaning}</text>'
        x += int(len(meaning) * _LETTER) + 36
