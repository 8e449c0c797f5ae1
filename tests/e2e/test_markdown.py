"""Markdown that grows: block by block it comes to the same as when it is parsed as a whole."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.conftest import Visit
from tests.e2e.upstream import Upstream, text_events
from tests.support.programs import ROOT
from usechat.testing.replay import Reply

_HERE = Path(__file__).parent
LONG = 1000
_PARTS = (
    "A paragraph with *emphasis*, **strong words**, `code` and a [link](https://a.example).\n",
    "Two lines\nof one paragraph\n",
    "See [the reference] and [another][far], and a note.[^1]\n",
    "[the reference]: https://b.example 'Title'\n",
    "[far]: <https://c.example>\n",
    "[^1]: A note\n    that goes on.\n\n    In two paragraphs, with [the reference].\n",
    "# A heading\n",
    "Underlined\n==========\n",
    "- one\n- two\n- three\n",
    "- loose\n\n- items\n\n  with a second paragraph\n- [ ] a task\n- [x] done\n",
    "1. first\n2. second\n   - below it\n   - and again\n10. tenth\n",
    "* other marks\n+ each a list\n",
    "> a quote\n> goes on\nlazily\n\n> another one\n",
    "> - a list\n>\n>   in a quote\n",
    "```python\ndef f():\n    return 1\n\n\n```\n",
    "~~~~\n```\n~~~\n~~~~\n",
    "  ```js\n  let a;\n    let b;\n  ```\n",
    "    indented code\n\n    goes on\n",
    "<div>\n*HTML* stays\n\nas it is</div>\n",
    "<!-- a comment\n\nover lines -->\n",
    "| a | b |\n|---|:-:|\n| 1 | `x` |\n| 2 | [far] |\n",
    "Not | a table\n\n| not | one\n| - | x\n",
    "***\n",
    "$$\nx^2\n\ny\n$$\n",
    "Money: $5 and $10, formula $a$.\n",
    "Ends with two spaces  \nand a backslash\\\nhere\n",
    "".join(f"- item {number} of a long list\n" for number in range(80)),
    "".join(f"{number}. item\n\n   with a second paragraph\n" for number in range(1, 60)),
    "| n | square |\n|---|---|\n" + "".join(f"| {number} | {number**2} |\n" for number in range(120)),
    "Long line " * 150 + "\n",
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's parser, bundled for Node.js."""
    bundle = tmp_path_factory.mktemp("markdown") / "blocks.mjs"
    options = ["--bundle", "--format=esm", "--platform=node", "--log-level=error", f"--alias:web={ROOT / 'web'}"]
    subprocess.run(
        [_HERE / "node_modules" / ".bin" / "esbuild", _HERE / "markdown_blocks.mjs", *options, f"--outfile={bundle}"],
        check=True,
    )
    return bundle


def differences(program: Path, texts: list[str], pieces: list[int]) -> list[str]:
    done = subprocess.run(
        ["node", program],
        input=json.dumps({"texts": texts, "pieces": pieces}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_each_kind_of_block_is_parsed_the_same_as_it_grows(program: Path) -> None:
    # A paragraph before and after it, with and without an empty line.
    texts = [
        before + part + after for part in _PARTS for before in ("", "Before.\n") for after in ("\nAfter.\n", "After.\n")
    ]
    short, long = ([text for text in texts if (len(text) > LONG) is is_long] for is_long in (False, True))
    assert differences(program, short, [7, 80]) == []
    # Each piece has the end of the text parsed again.
    assert differences(program, long, [61]) == []


def test_blocks_in_any_order_are_parsed_the_same_as_they_grow(program: Path) -> None:
    source = random.Random(4)
    texts = ["".join(part + source.choice(("", "\n", "\n\n")) for part in source.sample(_PARTS, 8)) for _ in range(20)]
    assert differences(program, texts, [17, 300, 100_000]) == []


def test_headings_leave_out_no_level_and_code_in_a_list_is_coloured(
    visit: Visit, replayed: str, upstream: Upstream
) -> None:
    headings = "#### Small first\n\n# Large\n\n##### Smallest\n\n"
    text = headings + "- code:\n\n  ```python\n  return 1\n  ```\n\n[^1]: Note.\n\nSee.[^1]"
    upstream.will(Reply(events=[*text_events(text, 20)]))
    page = visit(replayed)
    page.ask("Show me headings.")
    page.wait_until_answered()
    levels = [
        page.answer.get_by_role("heading", name=name, exact=True) for name in ("Small first", "Large", "Smallest")
    ]
    assert [level.evaluate("it => it.tagName") for level in levels] == ["H3", "H3", "H4"]
    expect(page.answer.locator("li pre span[class]").first).to_have_text("return")
    expect(page.answer.get_by_role("region", name="Footnotes")).to_contain_text("Note.")
    assert page.broken_rules() == []
