"""What a model writes that is asked much: Markdown of any length. Knows no browser."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["ANSWER_CHARACTERS", "answer_text", "conversation"]

ANSWER_CHARACTERS: Final = 60_738

_SECTION = """\
## {number}. What the tide does

Twice a day the water **rises** and *falls*, because the moon pulls at it; see [the tables](https://tides.example/{number})
for `Whitby`, where high water is at {number}:20 and the range is about four metres at springs.

- The moon is near: the range is large.
- The sun helps at new and full moon.
- Shallow bays hold the water back, so it comes later than at sea, by an hour or more.

| Place | High water | Range |
|---|---:|---:|
| Whitby | {number}:20 | 4.{number} m |
| Hull | {number}:55 | 5.1 m |

```python
def height(hours: float, mean: float = 3.1, amplitude: float = 1.9) -> float:
    # The moon's own tide, M2, has a period of 12.42 hours.
    return mean + amplitude * math.cos(2 * math.pi * hours / 12.42)
```

> A height is $h(t) = a + b \\cos(\\omega t)$, and that is all.

1. Look at the moon.
2. Then at the table.

"""

_END = "\n\nThat is all of it.\n"


def answer_text(characters: int = ANSWER_CHARACTERS) -> str:
    """Return Markdown of so many characters, as a model writes it: paragraphs, lists, tables, code, formulas."""
    sections = "".join(_section(number) for number in range(1, characters // len(_SECTION) + 2))
    return sections[: characters - len(_END)] + _END


def conversation(messages: int) -> list[dict[str, Any]]:
    """Return so many UI messages, questions and answers in turn; each answer is a section of a text."""
    said = [
        f"And what of the tide on day {number // 2}?" if number % 2 == 0 else _section(number)
        for number in range(messages)
    ]
    return [
        {"id": f"m{number}", "role": ("user", "assistant")[number % 2], "parts": [{"type": "text", "text": text}]}
        for number, text in enumerate(said)
    ]


def _section(number: int) -> str:
    return _SECTION.format(number=number)
