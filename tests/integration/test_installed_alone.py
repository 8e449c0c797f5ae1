"""The wheel in an environment of its own: a library's route needs no extra, and what needs one says which."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

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


def install(folder: Path, requirement: str) -> Path:
    """Make an environment with what the requirement brings; return its folder of programs."""
    # uv does not read pip's settings.
    with_index = [ROOT / "scripts" / "packages", "with-index"]
    # The versions that are locked, so that they are already in uv's cache.
    versions = ["--constraint", ROOT / "requirements" / "base.lock", "--no-verify-hashes"]
    for command in (
        [*with_index, UV, "venv", "--quiet", "--python", sys.executable, folder],
        [*with_index, UV, "pip", "install", "--quiet", "--python", folder / "bin" / "python", *versions, requirement],
    ):
        subprocess.run(command, cwd=folder.parent, check=True)
    return folder / "bin"


def run(command: list[str | Path], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program that finds nothing of this checkout and none of the caller's settings."""
    kept: Mapping[str, str] = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(command, cwd="/", env=kept, text=True, capture_output=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("alone") / "venv", str(wheel))


def test_route_of_a_library_needs_no_extra(alone: Path) -> None:
    done = run([alone / "python", "-c", ROUTE])

    assert '"delta":"High water "' in done.stdout, done.stderr
    assert done.stdout.endswith("data: [DONE]\n\n\n")


def test_library_brings_no_package_of_the_server(alone: Path) -> None:
    listed = run([UV, "pip", "list", "--python", alone / "python", "--format", "freeze"])

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
def test_what_needs_an_extra_names_it(alone: Path, program: str, extra: str) -> None:
    told = f"from usechat.errors import ConfigurationError\ntry:\n {program}\nexcept ConfigurationError as e: print(e)"
    done = run([alone / "python", "-c", told])

    assert f"pip install 'usechat[{extra}]'" in done.stdout, done.stderr


def test_embedded_model_names_its_extra(alone: Path) -> None:
    done = run([alone / "python", "-c", "from usechat.models import local_available; print(local_available())"])
    assert "usechat[local]" in done.stdout, done.stderr


@pytest.mark.parametrize("command", [["usechat"], ["python", "-m", "usechat"]], ids=["command", "module"])
def test_command_names_its_extra(alone: Path, command: list[str]) -> None:
    done = run([alone / command[0], *command[1:], "serve"])

    assert done.returncode == 2
    assert done.stderr == "usechat: The package typer is not installed: pip install 'usechat[server]'.\n"


def test_server_of_a_package_that_was_built_with_the_page_serves_it(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "src", checkout / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", ".gitignore"):
        shutil.copy(ROOT / name, checkout)
    page = b"<!doctype html><title>A chat</title>" + b"<p>Hello.</p>" * 200
    (checkout / "web" / "out").mkdir(parents=True)
    (checkout / "web" / "out" / "index.html").write_bytes(page)
    (checkout / "web" / "out" / "index.html.gz").write_bytes(gzip.compress(page))
    # The wheel is made of the source package, as those who build from that one do.
    sources, unpacked = build(checkout, "sdist", tmp_path), tmp_path / "unpacked"
    with tarfile.open(sources) as archive:
        archive.extractall(unpacked, filter="data")
    wheel = build(next(unpacked.iterdir()), "wheel", tmp_path)
    programs = install(tmp_path / "venv", f"usechat[server] @ {wheel.as_uri()}")

    with Program(
        [programs / "usechat", "serve", "--port", "0", "--model", "demo"],
        ready=r"listens on (http://\S+)",
        folder=tmp_path,
        log=tmp_path / "serve.log",
    ) as server:
        plain = httpx.get(server.url, headers={"accept-encoding": "identity"})
        packed = httpx.get(server.url, headers={"accept-encoding": "gzip"})

    assert plain.content == packed.content == page
    assert packed.headers["content-encoding"] == "gzip"


def test_server_names_the_extras_of_its_settings(wheel: Path, tmp_path: Path) -> None:
    programs = install(tmp_path / "venv", f"usechat[server] @ {wheel.as_uri()}")
    for setting, extra in (
        ({"USECHAT_DATABASE_URL": "postgresql://127.0.0.1/x"}, "postgres"),
        ({"USECHAT_REDIS_URL": "redis://127.0.0.1", "USECHAT_DATABASE_URL": "off"}, "redis"),
    ):
        done = run([programs / "usechat", "serve", "--port", "0", "--model", "demo"], **setting)
        assert done.returncode != 0
        assert f"pip install 'usechat[{extra}]'" in done.stderr
        assert "Traceback" not in done.stderr
