"""What the documents name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "usechat"
DOCUMENTS = ("CONTRIBUTING.md", "docs/architecture.md", "docs/decisions.md", "docs/failures.md", "docs/protocol.md")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_file_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    named = set(re.findall(r"`((?:[a-z_0-9]+/)+(?:[a-z_0-9]+\.py)?|[a-z_]+\.py)`", text))
    missing = [name for name in named if not (PACKAGE / name).exists() and not (ROOT / name).exists()]
    in_rooms = {module.name for module in PACKAGE.rglob("*.py")}
    # In a row of a table, a module may be named for short after its folder was.
    assert [name for name in missing if "/" in name or name not in in_rooms] == []
