"""The texts of the demo. `usechat.demo.script` puts them into blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = [
    "APPROVAL",
    "ATTACHED",
    "CHART",
    "CITED",
    "DATA",
    "DENIED",
    "ERROR",
    "FILE",
    "GREETING",
    "LONG",
    "LOOK_AROUND",
    "MARKDOWN",
    "REASONING",
    "REASONING_ANSWER",
    "SEARCH_HITS",
    "SEARCH_QUERY",
    "SOURCES",
    "TOOL",
    "TOUR",
]

GREETING = """\
Hello! I am **usechat's demo**: no language model, but a script that streams the way one does. Ask me for

- `text`: Markdown, growing word by word
- `reasoning`: thinking before the answer
- `tool`: a tool that runs on the server
- `approval`: a tool that asks you first
- `sources`: a web search with citations
- `file`: a picture
- `data`: the application's own data, updated as it goes
- `chart`: a chart that a tool draws
- `error`: a failure in the middle of an answer
- `long`: a long answer, to try Stop on

or say `tour` to see them all. For a real model, set `ANTHROPIC_API_KEY` and start the server again.
"""

ATTACHED = """\
You sent {files} along, which a script cannot look at. A model can: set `ANTHROPIC_API_KEY` and start the server again.

"""

LOOK_AROUND = "Say `tour` to see all that I can show you.\n"

TOUR = "Here is everything an answer can be made of, one after the other.\n\n"

MARKDOWN = """\
### Text

Text arrives in small pieces, with *emphasis*, **strong words**, `code`, “quotes”, umlauts (äöü), 漢字 and emoji 🌍.

| SDK | wire format |
|---|---|
| 4 | data stream, one line a part |
| 5, 6, 7 | UI message stream, server-sent events |

```python
@app.post("/api/chat")
async def chat(chat: ChatRequest):
    return stream_text(demo(), messages=chat.messages).response(chat)
```

Formulas are drawn, as $e^{i\\pi} + 1 = 0$ in a sentence, or by themselves:

$$
\\int_{-\\infty}^{\\infty} e^{-x^2} \\, dx = \\sqrt{\\pi}
$$

"""

REASONING = """\
They ask what reasoning looks like. A small riddle will do: how many squares are on a chess board, of any size?
There are 64 of size 1, 49 of size 2, and so on down to one of size 8.
So it is the sum of the squares from 1 to 8, which is 8 · 9 · 17 / 6 = 204.
"""

REASONING_ANSWER = """\
### Reasoning

A chess board has **204** squares, counting those of every size. How I came to it stands above this line, in a part of
its own with a signature that goes back to the model with the next message.

"""

SOURCES = "### Sources\n\nI look it up.\n\n"

SEARCH_QUERY = "server-sent events specification"

SEARCH_HITS: Sequence[Mapping[str, str]] = (
    {
        "url": "https://html.spec.whatwg.org/multipage/server-sent-events.html",
        "title": "HTML Standard: Server-sent events",
        "page_age": "June 1, 2026",
    },
    {
        "url": "https://en.wikipedia.org/wiki/Server-sent_events",
        "title": "Server-sent events - Wikipedia",
        "page_age": "May 12, 2026",
    },
)

CITED: Sequence[tuple[str, int, str]] = (
    (
        "Server-sent events let a server push data to a page over plain HTTP, ",
        0,
        "To enable servers to push data to web pages over HTTP",
    ),
    (
        "and every browser of today can read them.",
        1,
        "All major browsers support server-sent events",
    ),
)
"""The text of each sentence, the index of the cited hit in `SEARCH_HITS`, and the quoted words."""

TOOL = "### A tool\n\nI ask the server for the weather.\n\n"

DATA = "### Data\n\nThis tool reports its progress while it works.\n\n"

CHART = "### A chart\n\nAnother tool sends numbers, which the page draws.\n\n"

FILE = "### A file\n\nI have a picture drawn.\n\n"

APPROVAL = "### An approval\n\nThis tool acts on the world, so it asks you before it runs. Nothing is really sent.\n\n"

DENIED = "The tool did not run. What I was told: “{reason}”"

ERROR = """\
### An error

Last, what happens when the model fails in the middle of a sentence: the text stays, the page says what happened, and
you can try again (the script will fail again; ask for something else to go on). The stream now breaks off at\
"""

LONG = "### A long answer\n\nStop me whenever you like.\n\n" + "".join(
    f"{number}. The square of {number} is {number**2}, its cube is {number**3}.\n" for number in range(1, 81)
)
