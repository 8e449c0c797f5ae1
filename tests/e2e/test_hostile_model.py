"""A model that means harm: what it writes runs nothing, asks no other host for anything, and leaves the page usable."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.conftest import Visit
from tests.e2e.upstream import WHOLE_TEXT, Upstream, text_events
from usechat.testing.replay import Reply

END = "\n\nThat is all."
SCRIPTS = """
<script>window.harmed = 1</script>
<img src=x onerror="window.harmed = 1"><svg onload="window.harmed = 1"></svg>
<iframe src="javascript:parent.harmed = 1"></iframe><a href="javascript:window.harmed = 1">html</a>

[script](javascript:window.harmed=1) [spaced](<java\tscript:window.harmed=1>)
[data](data:text/html,<script>harmed=1</script>)
<javascript:window.harmed=1> [named][named] ![picture](javascript:window.harmed=1)

[named]: vbscript:harmed

$\\href{javascript:window.harmed=1}{x} \\includegraphics{https://evil.example/a.png} \\htmlData{a=b}{y}$
"""
PICTURES = """
![a](https://evil.example/pixel.png?what=was+said) ![b](//evil.example/b.png) ![c][c] ![d](http://127.0.0.1:1/d.png)

<img src="https://evil.example/e.png"> <link rel=stylesheet href="https://evil.example/f.css">
<video poster="https://evil.example/g.png"></video>

[c]: https://evil.example/c.png

```html
<img src="https://evil.example/h.png">
```
"""
ANSWERS: Mapping[str, str] = {
    "scripts": SCRIPTS,
    "pictures": PICTURES,
    "a table of 20,000 rows": "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 20_000,
    "a table of 3,000 columns": "|a" * 3_000 + "|\n" + "|-" * 3_000 + "|\n" + "|1" * 3_000 + "|\n",
    "a line of a megabyte": "word" * 250_000,
    "code of a megabyte in one line": "```js\n" + "let a=1;" * 125_000 + "\n```",
    "code of many lines": "```python\n" + "print('again')\n" * 20_000 + "```",
    "quotes in quotes": ">" * 20_000 + " deep",
    "lists in lists": "".join(f"{'  ' * depth}- {depth}\n" for depth in range(300)),
    "brackets": "[" * 50_000,
    "stars": "**a *b " * 10_000,
    "dollars": "$a " * 20_000,
    "text from right to left": "\u202egnp.exe\u202c and \u2067\u202e" * 200 + "\n\nA line after it.",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_hostile_answer_does_no_harm(visit: Visit, replayed: str, upstream: Upstream, name: str) -> None:
    upstream.will(Reply(events=[*text_events(ANSWERS[name] + END, 20)]), Reply("text"))
    page = visit(replayed)
    strangers = watch(page, replayed)
    page.ask("Do your worst.")
    page.wait_for_words("That is all.")
    assert page.page.evaluate("window.harmed") is None
    assert [link for link in links(page) if not re.match("https?://", link)] == []
    assert page.answer.locator("img, iframe, script, video, link, object, embed, base, form, style").count() == 0
    assert page.overhang() <= 0
    page.ask("When is high water?")
    page.wait_for_words(WHOLE_TEXT)
    assert strangers == []


def test_link_says_where_it_leads(visit: Visit, replayed: str, upstream: Upstream) -> None:
    upstream.will(Reply(events=[*text_events("Log in at [https://bank.example](https://evil.example/).")]))
    page = visit(replayed)
    page.ask("Where do I log in?")
    link = page.answer.get_by_role("link", name="https://bank.example")
    expect(link).to_have_attribute("title", "https://evil.example/")
    expect(link).to_have_attribute("rel", "noreferrer")


def watch(page: ChatPage, url: str) -> list[str]:
    """Return the list that gets each request to another host than the page's own."""
    own = urlsplit(url).netloc
    strangers: list[str] = []
    page.page.on("request", lambda request: strangers.append(request.url) if is_stranger(request.url, own) else None)
    page.page.on("dialog", lambda dialog: strangers.append(dialog.message))
    return strangers


def is_stranger(url: str, own: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != own


def links(page: ChatPage) -> list[str]:
    """Return where the links of the answer lead, and anything else that has an address."""
    return page.answer.locator("[href], [src]").evaluate_all("all => all.map((it) => it.href ?? it.src)")
