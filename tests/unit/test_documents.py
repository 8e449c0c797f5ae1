"""What the documents name is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

# It reads the package, and runs nothing of it.
pytestmark = pytest.mark.no_cover

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "usechat"
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
FOLDERS = ("api", "benchmarks", "examples", "scripts", "src")
DOCUMENTS = ("CONTRIBUTING.md", "docs/architecture.md", "docs/decisions.md", "docs/failures.md", "docs/protocol.md")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_file_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    named = set(re.findall(r"`((?:[a-z_0-9]+/)+(?:[a-z_0-9]+\.py)?|[a-z_]+\.py)`", text))
    missing = [name for name in named if not (PACKAGE / name).exists() and not (ROOT / name).exists()]
    in_rooms = {module.name for module in PACKAGE.rglob("*.py")}
    # In a row of a table, a module may be named for short after its folder was.
    assert [name for name in missing if "/" in name or name not in in_rooms] == []


def test_each_folder_and_module_of_the_package_has_a_row() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    named = {name.strip("`/") for row in rows for name in row.split(", ")}
    inside = {path.name for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert inside - {"__init__.py"} <= named


def test_each_threat_has_a_test_that_is_there() -> None:
    rows = [line for line in (ROOT / "docs/security.md").read_text().splitlines() if line.startswith("| ")]
    # The heads of the table and of its parts have none.
    told = [row for row in rows if not row.startswith(("| **", "| threat"))]
    assert len(told) > 30
    for row in told:
        named = re.findall(r"`(\w[\w/.]*)(?:::(\w+))?`", row.rsplit("|", 2)[1])
        assert named, row
        for file, test in named:
            path = ROOT / "tests" / ("integration/test_server_attacks.py" if file == "attacks" else file)
            assert path.is_file(), row
            assert re.search(rf"def {test}\(", path.read_text()) if test else True, row


def sections(document: str) -> set[str]:
    return set(re.findall(r"^#+ (.+)$", (ROOT / document).read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    ("text", "cited"),
    [
        ("(docs/protocol.md, Stop reasons)", [("docs/protocol.md", "Stop reasons")]),
        ("See NO.md, Which\n# version it is, and no more.", [("NO.md", "Which version it is")]),
        ("as in CONTRIBUTING.md.", [("CONTRIBUTING.md", "")]),
    ],
)
def test_citation_is_found(text: str, cited: list[tuple[str, str]]) -> None:
    assert citations(text) == cited


def citations(text: str) -> list[tuple[str, str]]:
    """Return the documents that a source names, each with the section that is named after it."""
    one_line = re.sub(r"\s*\n[\s#]*", " ", text)
    return re.findall(r"(?<![\w/.*-])((?:[\w-]+/)*[A-Za-z_]+\.md)\b(?:, ([A-Z][^\n).:;,\"`]*))?", one_line)


def test_cited_documents_and_sections_exist() -> None:
    sources = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts]
    cited = {(str(path.relative_to(ROOT)), *each) for path in sources for each in citations(path.read_text())}
    assert len(cited) > 10
    assert [each for each in cited if not (ROOT / each[1]).exists()] == []
    assert [each for each in cited if each[2] and each[2] not in sections(each[1])] == []


STEPS = re.findall(r"^\| \d+ \| (.*) \| (.*) \|$", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize(("what", "where"), STEPS)
def test_function_of_a_journey_is_in_the_file_beside_it(what: str, where: str) -> None:
    functions = re.findall(r"`((?:[A-Z]\w+\.)?[a-z_]+)`", what)
    files = [PACKAGE / name for name in re.findall(r"`([^`]+)`", where)]
    assert functions
    assert files
    defined = {path: defined_names(path) for path in files}
    assert [name for name in functions if not any(name in names for names in defined.values())] == []


def defined_names(path: Path) -> set[str]:
    """Return the functions of a module, by their names, and those of classes also with the class."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, DEFINITIONS):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{member.name}" for member in node.body if isinstance(member, DEFINITIONS)}
    return names


def test_each_clause_of_the_promise_names_tests_that_exist() -> None:
    text = (ROOT / "docs/failures.md").read_text()
    promise = text[text.index("## The promise") : text.index("## How it is tested")]
    named = set(re.findall(r"`(test_\w+)`", promise))
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 20
    assert sorted(name for name in named if f"def {name}(" not in sources) == []
