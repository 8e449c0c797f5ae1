"""The arrows between the packages, read off their imports: who may know whom, and who may know which third party."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

# It reads the package, and runs nothing of it.
pytestmark = pytest.mark.no_cover

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "usechat"
ANY = frozenset({"*"})


@dataclass(frozen=True)
class Row:
    """What one package may import. A package may always import itself; names cover what is below them."""

    ours: frozenset[str] = frozenset()
    lazily: frozenset[str] = frozenset()
    """Besides these, inside a function: known only when it is called."""
    never: frozenset[str] = frozenset()
    """Not even where a wider name allows it."""
    third_party: frozenset[str] = ANY
    is_pure: bool = False
    """Nothing in it waits for anything."""
    reads_environment: bool = False


LEAVES = frozenset({"errors", "ids", "json", "parts", "unsafe_keys"})
EDGES = frozenset({"cli", "server", "testing"})

ROWS = {
    "errors": Row(third_party=frozenset(), is_pure=True),
    "ids": Row(third_party=frozenset(), is_pure=True),
    "extras": Row(ours=frozenset({"errors"}), third_party=frozenset()),
    "json": Row(third_party=frozenset({"msgspec"}), is_pure=True),
    "parts": Row(third_party=frozenset({"msgspec"}), is_pure=True),
    "unsafe_keys": Row(ours=frozenset({"json"}), third_party=frozenset(), is_pure=True),
    "checks": Row(ours=frozenset({"errors"}), third_party=frozenset(), is_pure=True),
    # It asks which task runs, and waits for nothing.
    "guard": Row(ours=frozenset({"errors"}), third_party=frozenset()),
    # Where it is worked is what it is about, not what is worked on.
    "apart": Row(third_party=frozenset()),
    # What is said of a failure is the same for a browser, a log and a socket.
    "failures": Row(ours=frozenset({"errors", "guard", "protocol.options"}), third_party=frozenset()),
    "protocol": Row(ours=LEAVES, third_party=frozenset({"msgspec"}), is_pure=True),
    "messages": Row(
        ours=LEAVES,
        third_party=frozenset({"charset_normalizer", "msgspec", "pydantic", "pydantic_core"}),
        is_pure=True,
    ),
    # It knows no provider, and no part or message of ours.
    "http1": Row(third_party=frozenset({"aiohappyeyeballs", "httptools"})),
    "models": Row(
        # Of the protocol only the splitting of server-sent events, which providers speak too.
        ours=LEAVES | {"apart", "checks", "extras", "http1", "messages", "protocol.sse"},
        # One of the names that a model is asked for by.
        lazily=frozenset({"demo.model"}),
    ),
    "tools": Row(ours=LEAVES | {"checks", "messages", "models"}),
    "answers": Row(
        # Of the protocol it knows the reducer, for the message it saves, and the dialect it fits the loop to.
        ours=LEAVES | {"apart", "checks", "failures", "guard", "messages", "models", "protocol", "tools"},
        # An answer turns into a response when it is asked to, by one function; the rest are names of types. There is no
        # way back: the edge knows what an answer does, and not the package that makes it.
        lazily=frozenset(
            {"http.new_run.respond", "http.response.StreamingAnswer", "http.stream", "runs.service.RunService"}
        ),
        never=frozenset({"protocol.encoders", "protocol.decoders"}),
    ),
    # What an answer needs, gathered; only its types know of responses.
    "agent": Row(
        ours=frozenset({"answers", "checks", "errors", "models", "parts", "tools"}),
        lazily=frozenset({"http.response.StreamingAnswer", "messages.ui", "runs.service.RunService"}),
        third_party=frozenset({"typing_extensions"}),
    ),
    # It imports none of the packages whose streams it reads.
    "adapters": Row(
        ours=LEAVES | {"answers.writer.merge", "messages", "protocol"},
        third_party=frozenset({"pydantic_core"}),
    ),
    "telemetry": Row(
        ours=LEAVES | {"answers", "extras", "messages", "models"}, third_party=frozenset({"msgspec", "opentelemetry"})
    ),
    "demo": Row(ours=LEAVES | {"__init__", "apart", "models", "tools"}, third_party=frozenset({"msgspec", "pydantic"})),
    "runs": Row(ours=frozenset({"errors", "extras", "guard", "ids"}), third_party=frozenset({"msgspec", "redis"})),
    "chats": Row(ours=frozenset({"apart", "errors", "extras", "guard", "ids", "json", "messages"})),
    "http": Row(
        ours=LEAVES | {"apart", "failures", "guard", "messages", "protocol", "runs"},
        never=frozenset({"runs.memory", "runs.redis"}),
        third_party=frozenset({"fastapi", "msgspec", "starlette"}),
    ),
    "conversations": Row(
        # Where answers, saved chats, runs and HTTP meet. It knows no model.
        ours=LEAVES
        | {"answers", "apart", "chats", "checks", "extras", "guard", "http", "messages", "protocol", "runs", "tools"},
        third_party=frozenset({"fastapi", "msgspec", "pydantic", "redis", "starlette"}),
    ),
    # It meets a backend over HTTP alone, also ours: of the package it knows the clients' rules.
    "doctor": Row(
        ours=frozenset({"__init__", "errors", "json", "messages.evidence", "protocol", "testing.client_rules"}),
        third_party=frozenset({"httpx"}),
    ),
    "server": Row(ours=ANY, reads_environment=True),
    "testing": Row(ours=ANY, never=frozenset({"cli", "server"})),
    "cli": Row(ours=ANY, reads_environment=True),
    "__main__": Row(ours=frozenset({"cli", "errors", "extras"}), third_party=frozenset()),
    "__init__": Row(ours=ANY, never=EDGES),
}


PURE = (
    "answers/loop/asks",
    "answers/loop/model_turn",
    "answers/loop/results",
    "answers/loop/step",
    "answers/loop/turn",
    "chats/history",
    "chats/matching",
    "chats/merge",
    "models/claude/request",
    "models/claude/response",
)
"""Pure code in packages that also wait."""
WAITING = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)


@dataclass(frozen=True)
class Import:
    """One name that a module imports."""

    line: int
    name: str
    """In full, as in ``usechat.protocol.sse``."""
    is_lazy: bool


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def row_name(module: Path) -> str:
    """The top of a module below the package: ``protocol`` for protocol/sse.py."""
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST, module: str, *, is_lazy: bool = False) -> Iterator[Import]:
    """Every import below a node; ``module`` is the importing module's name in full, for relative ones."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Import():
                yield from (Import(node.lineno, alias.name, is_lazy) for alias in node.names)
            case ast.ImportFrom():
                base = ".".join([*module.split(".")[: -node.level], node.module or ""]) if node.level else node.module
                yield from (Import(node.lineno, f"{base}.{alias.name}", is_lazy) for alias in node.names)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                # Names for the type checker: nothing is loaded for them.
                yield from imports(node, module, is_lazy=True)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from imports(node, module, is_lazy=True)
            case _:
                yield from imports(node, module, is_lazy=is_lazy)


def is_below(name: str, tops: frozenset[str]) -> bool:
    return tops == ANY or any(name == top or name.startswith(f"{top}.") for top in tops)


def own_name(imported: str) -> str:
    """An import of ours below the package; ``__init__`` for a name that only the package's front door gives."""
    inner = imported.removeprefix("usechat").removeprefix(".")
    top = inner.split(".")[0]
    return inner if (PACKAGE / top).is_dir() or (PACKAGE / f"{top}.py").is_file() else "__init__"


def breaches(name: str, row: Row, source: str) -> list[str]:
    """What a module of package ``name`` imports against its row, or does though it is pure."""
    found: list[str] = []
    tree = ast.parse(source)
    for imported in imports(tree, f"usechat.{name}.module"):
        top = imported.name.split(".")[0]
        if top == "usechat":
            inner = own_name(imported.name)
            lazily = imported.is_lazy and is_below(inner, row.lazily)
            legal = lazily or is_below(inner, row.ours) or is_below(inner, frozenset({name}))
            if not legal or is_below(inner, row.never - {name}):
                found.append(f"line {imported.line}: {name} must not import {imported.name}")
        elif top not in sys.stdlib_module_names and not is_below(top, row.third_party):
            found.append(f"line {imported.line}: {name} must not import the third party {top}")
        elif row.is_pure and top == "asyncio":
            found.append(f"line {imported.line}: {name} is pure and imports asyncio")
    if row.is_pure:
        found += [
            f"line {node.lineno}: {name} is pure and waits" for node in ast.walk(tree) if isinstance(node, WAITING)
        ]
    if not row.reads_environment:
        found += [f"line {line}: only server and cli read the environment" for line in environment_reads(tree)]
    return found


def environment_reads(tree: ast.Module) -> Iterator[int]:
    """The lines that read a variable. Setting one, for a library that looks at it later, is no reading."""
    writes: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(ast.Call(ast.Attribute(target, "setdefault"))) | ast.Subscript(target, ctx=ast.Store()):
                writes.add(target)
            case ast.ImportFrom(module="os", names=names) if {alias.name for alias in names} & {"environ", "getenv"}:
                yield node.lineno
            case ast.Attribute(ast.Name("os"), "environ" | "getenv") if node not in writes:
                yield node.lineno
            case _:
                pass


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_only_what_its_package_may_know(module: Path) -> None:
    name = row_name(module)
    assert name in ROWS, f"{name} is new: give it a row, and docs/architecture.md its arrow"
    assert breaches(name, ROWS[name], module.read_text()) == []


@pytest.mark.parametrize("folder", PURE)
def test_pure_code_waits_for_nothing(folder: str) -> None:
    found = [PACKAGE / f"{folder}.py", *(PACKAGE / folder).glob("*.py")]
    pure = [module for module in found if module.exists()]
    assert pure
    for module in pure:
        waits = [node.lineno for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, WAITING)]
        assert waits == [], module


def test_every_row_has_its_package() -> None:
    assert {row_name(module) for module in modules()} == set(ROWS)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("errors", "from usechat.parts import Part"),
        ("parts", "import pydantic"),
        ("protocol", "from usechat.messages import ui"),
        ("protocol", "from ..models import base"),
        ("protocol", "import pydantic"),
        ("protocol", "async def feed(): ..."),
        ("protocol", "import asyncio"),
        ("messages", "import fastapi"),
        ("messages", "from usechat import protocol"),
        ("http1", "from usechat.errors import ProviderError"),
        ("http1", "import httpx2"),
        ("http1", "def late():\n    import anthropic"),
        ("models", "from usechat.protocol import chunks"),
        ("models", "def late():\n    from usechat.answers import steps"),
        ("models", "import os\nkey = os.environ['KEY']"),
        ("models", "import os\nkey = os.environ.setdefault('KEY', '')"),
        ("models", "from os import getenv"),
        ("answers", "from usechat.protocol import decoders"),
        ("answers", "from usechat.http.new_run import respond"),
        ("answers", "def late():\n    from usechat.http.new_run import NewRun"),
        ("http", "from usechat.answers.answer import Answer"),
        ("http", "def late():\n    from usechat.answers.answer import Answer"),
        ("answers", "def late():\n    from usechat.protocol.encoders import choose"),
        ("runs", "from usechat.parts import Part"),
        ("http", "from usechat.server import app"),
        ("testing", "import usechat.server.app"),
        ("chats", "from usechat import stream_text"),
        ("conversations", "from usechat.server.settings import Settings"),
        ("conversations", "from usechat.models.resolve import resolve_model"),
    ],
)
def test_wrong_arrow_is_found(name: str, source: str) -> None:
    assert len(breaches(name, ROWS[name], source)) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("protocol", "from usechat.errors import DecodeError\nfrom .encoders import choose\nimport json, msgspec"),
        ("models", "import os, anthropic\nos.environ['A'] = 'b'\nos.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')"),
        ("answers", "def late():\n    from usechat.http.new_run import respond"),
        ("server", "import os\nhost = os.environ['HOST']"),
    ],
)
def test_right_arrow_is_let_pass(name: str, source: str) -> None:
    assert breaches(name, ROWS[name], source) == []


def test_importing_the_package_imports_no_framework_and_no_provider() -> None:
    program = "import json, sys, usechat; print(json.dumps(sorted(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    loaded = set(json.loads(printed))
    heavy = {"aiohttp", "anthropic", "fastapi", "httpx", "sqlalchemy", "starlette", "uvicorn", "xllamacpp"}
    assert "usechat" in loaded
    assert loaded & heavy == set()
