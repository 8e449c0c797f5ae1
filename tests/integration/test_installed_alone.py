"""The wheel in an environment of its own: a library's route needs no extra, and what needs one says which."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.bytecode import lend_bytecode
from tests.support.programs import ROOT, Program

UV = Path(sys.executable).with_name("uv")
NOT_FOR_ALL = {"aiohttp", "alembic", "asyncpg", "pydantic-settings", "redis", "sqlalchemy", "typer", "uvicorn"}

ROUTE = """
import asyncio, json, os
from fastapi import FastAPI
from usechat import ChatRequest, stream_text, tool
from usechat.models import anthropic
from usechat.testing.replay import ReplayServer, Reply

app = FastAPI()

@tool
async def get_tide(port: str) -> str:
    return "14:20"

@app.post("/api/chat")
async def chat(chat: ChatRequest):
    return stream_text(anthropic("claude-sonnet-4-6"), messages=chat.messages, tools=[get_tide]).response(chat)

async def ask():
    parts = [{"type": "text", "text": "When is high water?"}]
    body = {"id": "c", "trigger": "submit-message", "messages": [{"id": "1", "role": "user", "parts": parts}]}
    scope = {"type": "http", "method": "POST", "path": "/api/chat", "headers": [], "query_string": b""}
    sent = []

    async def receive():
        if not sent:
            return {"type": "http.request", "body": json.dumps(body).encode()}
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message.get("body", b""))

    async with ReplayServer(Reply("text")) as server:
        os.environ.update(ANTHROPIC_BASE_URL=server.url, ANTHROPIC_API_KEY="unused")
        await app(scope, receive, send)
    print(b"".join(sent).decode())

asyncio.run(ask())
"""


def build(sources: Path, target: str, folder: Path) -> Path:
    """Build a package of these sources: a ``wheel``, or an ``sdist``."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", folder / target]
    subprocess.run(command, cwd=sources, check=True, capture_output=True)
    [built] = (folder / target).glob("usechat-*")
    return built


@dataclass(frozen=True)
class Installed:
    """An environment."""

    programs: Path
    bytecode: Mapping[str, str]

    def run(self, program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program that finds nothing of this checkout and none of the caller's settings."""
        kept = {"PATH": os.environ["PATH"], **self.bytecode, **variables}
        command = [self.programs / program, *arguments]
        return subprocess.run(command, cwd="/", env=kept, text=True, capture_output=True, check=False)


def install(folder: Path, requirement: str) -> Installed:
    """Make an environment with what the requirement brings."""
    # uv does not read pip's settings.
    with_index = [ROOT / "scripts" / "packages", "with-index"]
    # The versions that are locked, so that they are already in uv's cache.
    versions = ["--constraint", ROOT / "requirements" / "base.lock", "--no-verify-hashes"]
    for command in (
        [*with_index, UV, "venv", "--quiet", "--python", sys.executable, folder],
        [*with_index, UV, "pip", "install", "--quiet", "--python", folder / "bin" / "python", *versions, requirement],
    ):
        subprocess.run(command, cwd=folder.parent, check=True)
    return Installed(folder / "bin", lend_bytecode(folder, folder / "bytecode"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("alone") / "venv", str(wheel))


PAGE = b"<!doctype html><title>A chat</title>" + b"<p>Hello.</p>" * 200


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The server's extra alone, of a package that was built with a page."""
    folder = tmp_path_factory.mktemp("server")
    checkout = folder / "checkout"
    shutil.copytree(ROOT / "src", checkout / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", ".gitignore"):
        shutil.copy(ROOT / name, checkout)
    (checkout / "web" / "out").mkdir(parents=True)
    (checkout / "web" / "out" / "index.html").write_bytes(PAGE)
    (checkout / "web" / "out" / "index.html.gz").write_bytes(gzip.compress(PAGE))
    # The wheel is made of the source package, as those who build from that one do.
    sources, unpacked = build(checkout, "sdist", folder), folder / "unpacked"
    with tarfile.open(sources) as archive:
        archive.extractall(unpacked, filter="data")
    wheel = build(next(unpacked.iterdir()), "wheel", folder)
    return install(folder / "venv", f"usechat[server] @ {wheel.as_uri()}")


def test_route_of_a_library_needs_no_extra(alone: Installed) -> None:
    done = alone.run("python", "-c", ROUTE)

    assert '"delta":"High water "' in done.stdout, done.stderr
    assert done.stdout.endswith("data: [DONE]\n\n\n")


def test_library_brings_no_package_of_the_server(alone: Installed) -> None:
    command = [UV, "pip", "list", "--python", alone.programs / "python", "--format", "freeze"]
    listed = subprocess.run(command, cwd="/", text=True, capture_output=True, check=True)

    names = {line.partition("==")[0] for line in listed.stdout.splitlines()}
    assert "anthropic" in names
    assert names & NOT_FOR_ALL == set()


@pytest.mark.parametrize(
    ("program", "extra"),
    [
        ("from usechat.chats.sql.store import SqlChatStore", "sqlite"),
        ("from usechat.chats.sql.migrations.migrate import migrate", "sqlite"),
        ("from usechat.runs.redis.log import RedisLog", "redis"),
        ("from usechat import Chats; Chats('sqlite:///c.db')", "sqlite"),
        ("from usechat import Chats; Chats(None, redis_url='redis://h')", "redis"),
        ("from usechat.server.app import create_app", "server"),
    ],
)
def test_what_needs_an_extra_names_it(alone: Installed, program: str, extra: str) -> None:
    told = f"from usechat.errors import ConfigurationError\ntry:\n {program}\nexcept ConfigurationError as e: print(e)"
    done = alone.run("python", "-c", told)

    assert f"pip install 'usechat[{extra}]'" in done.stdout, done.stderr


def test_embedded_model_names_its_extra(alone: Installed) -> None:
    done = alone.run("python", "-c", "from usechat.models import local_available; print(local_available())")
    assert "usechat[local]" in done.stdout, done.stderr


@pytest.mark.parametrize("command", [["usechat"], ["python", "-m", "usechat"]], ids=["command", "module"])
def test_command_names_its_extra(alone: Installed, command: list[str]) -> None:
    done = alone.run(*command, "serve")

    assert done.returncode == 2
    assert done.stderr == "usechat: The package typer is not installed: pip install 'usechat[server]'.\n"


def test_server_of_a_package_that_was_built_with_the_page_serves_it(server: Installed, tmp_path: Path) -> None:
    with Program(
        [server.programs / "usechat", "serve", "--port", "0", "--model", "demo"],
        ready=r"listens on (http://\S+)",
        folder=tmp_path,
        log=tmp_path / "serve.log",
        variables=server.bytecode,
    ) as running:
        plain = httpx.get(running.url, headers={"accept-encoding": "identity"})
        packed = httpx.get(running.url, headers={"accept-encoding": "gzip"})

    assert plain.content == packed.content == PAGE
    assert packed.headers["content-encoding"] == "gzip"


def test_server_names_the_extras_of_its_settings(server: Installed) -> None:
    for setting, extra in (
        ({"USECHAT_DATABASE_URL": "postgresql://127.0.0.1/x"}, "postgres"),
        ({"USECHAT_REDIS_URL": "redis://127.0.0.1", "USECHAT_DATABASE_URL": "off"}, "redis"),
    ):
        done = server.run("usechat", "serve", "--port", "0", "--model", "demo", **setting)
        assert done.returncode != 0
        assert f"pip install 'usechat[{extra}]'" in done.stderr
        assert "Traceback" not in done.stderr
