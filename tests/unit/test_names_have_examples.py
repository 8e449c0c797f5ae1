"""Each public name is used by a program of README.md, of docs/ or of examples/. Other tests run those."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.unit.test_site import MODULES, ROOT

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def programs() -> Iterator[str]:
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        yield from BLOCK.findall(page.read_text())
    for example in (ROOT / "examples").glob("*.py"):
        yield example.read_text()


@cache
def used() -> frozenset[str]:
    """Return what the programs use, in full: ``usechat.models.anthropic``."""
    found: set[str] = set()
    for program in programs():
        tree = ast.parse(program)
        read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{name.name}" for name in node.names if (name.asname or name.name) in read}
            elif isinstance(node, ast.Attribute):
                found.add(ast.unparse(node))
    return frozenset(found)


@pytest.mark.parametrize("module", MODULES)
def test_each_public_name_is_used_by_a_program(module: str) -> None:
    names: list[str] = importlib.import_module(module).__all__
    assert [name for name in names if f"{module}.{name}" not in used()] == []
