"""docs/production.md, Dockerfile and compose.yaml, run here: the same commands and settings, in other places.

There is no Docker and no systemd where tests run. What they would start is started from what they would read: the
image's packages from its locks, the services with their environment, nginx with its configuration.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import re
import shutil
import sqlite3
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

import usechat
from tests.support import image
from tests.support.bytecode import lend_bytecode
from tests.support.certificates import write_certificate
from tests.support.image import FINAL, STAGES, build, read_services, relocate
from tests.support.postgres import PostgresServer
from tests.support.programs import ROOT, Program, find_program, hold_port
from tests.support.scripted_upstream import ScriptedUpstream
from tests.support.waiting import eventually
from usechat.testing.replay import Reply

pytestmark = pytest.mark.timeout(300)
"""The first test waits for the image's packages, which a fresh machine downloads."""

PAGE = (ROOT / "docs" / "production.md").read_text()
WORDS = ("High water ", "is at ", "14:20 ", "in Whitby.")
EVENTS_BEFORE_TEXT = 2
SPOOFED = "203.0.113.9"


def blocks(language: str, section: str = "") -> list[str]:
    """The blocks of the page in a language, of one section or all."""
    text = PAGE[PAGE.index(f"\n## {section}\n") :].removeprefix("\n").partition("\n## ")[0] if section else PAGE
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def settings_of(block: str, values: Mapping[str, str]) -> dict[str, str]:
    """The variables of a block of settings, with values where it leaves them out."""
    pairs = [line.partition("=") for line in block.splitlines()]
    return {name: values.get(name, value) for name, _, value in pairs}


@dataclass(frozen=True)
class Site:
    """A usechat behind nginx, and a client of it that has a key."""

    server: Program
    log: Path
    client: httpx.Client
    key: str
    variables: Mapping[str, str]
    database: str
    tls: ssl.SSLContext | None


def run(arguments: Sequence[str | Path], **variables: str) -> str:
    """What a command prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("USECHAT_", "ANTHROPIC_"))}
    done = subprocess.run(arguments, env={**kept, **variables}, cwd="/", text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def start_server(command: Sequence[str], folder: Path, variables: Mapping[str, str], stack: ExitStack) -> Program:
    log, ready = folder / "usechat.log", r"listens on (http://\S+)"
    return stack.enter_context(Program(command, ready=ready, folder=folder, log=log, variables=variables))


def start_nginx(text: str, folder: Path, stack: ExitStack) -> None:
    """Run a configuration whose temporary files, user and log are the test's."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    path = folder / "nginx.conf"
    path.write_text(relocate(text, {"http {": f"http {{ {temporary}"}))
    own = f"daemon off; pid {folder}/nginx.pid; user {getpass.getuser()}; error_log stderr notice;"
    command = [find_program("nginx"), "-e", "stderr", "-p", folder, "-c", path, "-g", own]
    stack.enter_context(Program(command, ready="start worker process ", folder=folder, log=folder / "nginx.log"))


def open_site(
    server: Program, address: str, *, variables: Mapping[str, str], database: str, folder: Path, stack: ExitStack
) -> Site:
    certificate = folder / "certificate.pem"
    tls = ssl.create_default_context(cafile=certificate) if certificate.exists() else None
    key = run(["usechat", "keys", "make", "ada"], **variables).strip()
    client = httpx.Client(
        # Without TLS there is nothing to verify, and certificates take long to load.
        base_url=address,
        headers={"authorization": f"Bearer {key}"},
        timeout=60,
        verify=tls or False,
    )
    return Site(server, folder / "usechat.log", stack.enter_context(client), key, variables, database, tls)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is ``/opt/usechat`` in the image. Its page is built by npm there, and a file here."""
    prefix = build(tmp_path_factory.mktemp("image"))
    (prefix / "page").mkdir()
    (prefix / "page" / "index.html").write_text("<title>The page</title>")
    return prefix


@pytest.fixture(scope="module")
def bytecode(installed: Path) -> Mapping[str, str]:
    """What has the first command compile for all others, where the image's build would have compiled it."""
    return lend_bytecode(installed, installed / "bytecode")


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def of_compose(
    installed: Path,
    bytecode: Mapping[str, str],
    postgres_server: PostgresServer,
    upstream: ScriptedUpstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """What ``docker compose up`` starts."""
    folder = tmp_path_factory.mktemp("compose")
    made = {"ANTHROPIC_API_KEY": "none", "USECHAT_APPROVAL_SECRET": "a secret of the test", "POSTGRES_PASSWORD": "0a1b"}
    in_file = settings_of(blocks("ini", "Docker Compose")[0], made)
    services = read_services(in_file)
    postgres = services["postgres"]["environment"]
    postgres_server.ask(f"CREATE ROLE {postgres['POSTGRES_USER']} LOGIN")
    postgres_server.ask(f"CREATE DATABASE {postgres['POSTGRES_DB']} OWNER {postgres['POSTGRES_USER']}")
    with ExitStack() as stack:
        redis = stack.enter_context(closing(hold_port())).getsockname()[1]
        own = ["--bind", "127.0.0.1", "--port", str(redis), "--dir", str(folder)]
        command = [*services["redis"]["command"], *own]
        stack.enter_context(
            Program(command, ready="Ready to accept connections", folder=folder, log=folder / "redis.log")
        )
        places = {
            "/opt/usechat": str(installed),
            "postgres:5432": f"127.0.0.1:{postgres_server.port}",
            "redis:6379": f"127.0.0.1:{redis}",
            "/data": str(folder),
        }
        said = image.variables() | in_file | services["usechat"]["environment"]
        variables = json.loads(relocate(json.dumps({name: str(value) for name, value in said.items()}), places))
        variables |= {"ANTHROPIC_BASE_URL": upstream.url, "USECHAT_MODEL": "claude-sonnet-4-6"}
        variables |= {"USECHAT_ACCESS_LOG": "true", **bytecode}
        assert run(services["migrate"]["command"], **variables).endswith(" are up to date.\n")
        command = json.loads(relocate(json.dumps(image.command("CMD")), {'"8000"': '"0"'}))
        server = start_server(command, folder, variables, stack)
        port = server.url.rpartition(":")[2]
        front = stack.enter_context(closing(hold_port())).getsockname()[1]
        text = (ROOT / "deploy" / "nginx.conf").read_text()
        listening = {"server usechat:8000;": f"server 127.0.0.1:{port};", "listen 80;": f"listen 127.0.0.1:{front};"}
        start_nginx(relocate(text, listening), folder, stack)
        database = variables["USECHAT_DATABASE_URL"]
        address = f"http://127.0.0.1:{front}"
        yield open_site(server, address, variables=variables, database=database, folder=folder, stack=stack)


@pytest.fixture(scope="module")
def of_systemd(
    installed: Path,
    bytecode: Mapping[str, str],
    upstream: ScriptedUpstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """What the page's unit starts, behind the page's nginx."""
    folder = tmp_path_factory.mktemp("systemd")
    places = {"/opt/usechat": str(installed), "/var/lib/usechat": str(folder)}
    unit = relocate(blocks("systemd", "systemd")[0], places)
    [start] = re.findall("^ExecStart=(.*)$", unit, re.MULTILINE)
    [working] = re.findall("^WorkingDirectory=(.*)$", unit, re.MULTILINE)
    made = {"ANTHROPIC_API_KEY": "none", "USECHAT_APPROVAL_SECRET": "a secret of the test"}
    variables = settings_of(relocate(blocks("ini", "systemd")[0], {"/var/lib/usechat": str(folder)}), made)
    variables |= {"ANTHROPIC_BASE_URL": upstream.url, "USECHAT_MODEL": "claude-sonnet-4-6", "USECHAT_PORT": "0"}
    variables |= {"USECHAT_ACCESS_LOG": "true", "PATH": f"{installed}/bin:{os.environ['PATH']}"}
    variables |= bytecode
    with ExitStack() as stack:
        server = start_server(start.split(), Path(working), variables, stack)
        front = stack.enter_context(closing(hold_port())).getsockname()[1]
        certificate = write_certificate(folder)
        text = relocate(
            blocks("nginx", "nginx")[0],
            {
                "server 127.0.0.1:8000;": f"server {server.url.removeprefix('http://')};",
                "listen 443 ": f"listen 127.0.0.1:{front} ",
                "/etc/ssl/chat.example.pem": str(certificate),
                "/etc/ssl/chat.example.key": str(certificate.with_name("key.pem")),
            },
        )
        start_nginx(f"events {{}}\nhttp {{\naccess_log off;\n{text}}}", folder, stack)
        address, database = f"https://127.0.0.1:{front}", f"{folder}/usechat.db"
        yield open_site(server, address, variables=variables, database=database, folder=folder, stack=stack)


def test_workers_over_postgresql_and_redis_start_with_the_lines_of_the_page(
    installed: Path, bytecode: Mapping[str, str], postgres_server: PostgresServer, tmp_path: Path
) -> None:
    section = "PostgreSQL and Redis"
    settings = tmp_path / "usechat.env"
    with ExitStack() as stack:
        redis = stack.enter_context(closing(hold_port())).getsockname()[1]
        (tmp_path / "redis.conf").write_text(blocks("conf", section)[0])
        own = ["redis.conf", "--bind", "127.0.0.1", "--port", str(redis)]
        command = [find_program("redis-server"), *own]
        stack.enter_context(
            Program(command, ready="Ready to accept connections", folder=tmp_path, log=tmp_path / "redis.log")
        )
        made = {
            "ANTHROPIC_API_KEY": "none",
            "USECHAT_APPROVAL_SECRET": "a secret of the test",
            "USECHAT_KEYS_FILE": f"{tmp_path}/keys.json",
            "USECHAT_DATABASE_URL": postgres_server.make_database(),
            "USECHAT_REDIS_URL": f"redis://127.0.0.1:{redis}/0",
        }
        lines = settings_of(blocks("ini", "systemd")[0] + blocks("ini", section)[0], made)
        assert lines["USECHAT_WORKERS"] == "2"
        lines |= {"USECHAT_PORT": "0"}
        settings.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        [migrate] = [line for line in blocks("sh", section)[1].splitlines() if "migrate" in line]
        places = {"/opt/usechat": str(installed), "/etc/usechat.env": str(settings)}
        assert run(relocate(migrate, places).split(), **bytecode).endswith(" are up to date.\n")
        server = start_server([f"{installed}/bin/usechat", "serve"], tmp_path, {**lines, **bytecode}, stack)
        told = httpx.get(f"{server.url}/readyz", timeout=60).json()
        assert f"`{json.dumps(told, separators=(',', ':'))}`" in PAGE
    assert " WARNING " not in (tmp_path / "usechat.log").read_text()


@pytest.fixture(params=["of_compose", "of_systemd"])
def site(request: pytest.FixtureRequest) -> Site:
    return request.getfixturevalue(request.param)


def question(chat_id: str, text: str = "When is high water?") -> dict[str, Any]:
    message = {"id": "m", "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": chat_id, "trigger": "submit-message", "messages": [message]}


def test_each_piece_of_an_answer_arrives_before_the_next_is_sent_and_the_chat_is_saved(
    site: Site, upstream: ScriptedUpstream
) -> None:
    upstream.will(Reply("text", hold_after=EVENTS_BEFORE_TEXT + 2))
    with site.client.stream("POST", "/api/chat", json=question("pieces")) as response:
        pieces = response.iter_text()
        received = next(pieces)
        while WORDS[1] not in received:
            received += next(pieces)
        assert WORDS[2] not in received
        upstream.requests[0].go_on()
        received += "".join(pieces)
    assert [word for word in WORDS if word in received] == list(WORDS)
    saved = site.client.get("/api/chats/pieces").json()
    assert "".join(WORDS) in json.dumps(saved)


def test_websocket_comes_through(site: Site, upstream: ScriptedUpstream) -> None:
    upstream.will(Reply("text"))
    url = f"{site.client.base_url}/api/chat/ws".replace("http", "ws", 1)
    with connect(url, additional_headers={"Authorization": f"Bearer {site.key}"}, ssl=site.tls) as socket:
        socket.send(json.dumps(question("socket") | {"type": "send", "requestId": "1", "headers": {}, "body": {}}))
        frames = [json.loads(socket.recv(timeout=60))]
        while frames[-1]["type"] not in {"end", "error"}:
            frames.append(json.loads(socket.recv(timeout=60)))
    assert frames[-1]["type"] == "end"
    assert [word for word in WORDS if word in json.dumps(frames)] == list(WORDS)


def test_large_question_is_answered_and_one_that_is_too_large_is_refused_by_usechat(
    site: Site, upstream: ScriptedUpstream
) -> None:
    upstream.will(Reply("text"))
    assert WORDS[-1] in site.client.post("/api/chat", json=question("large", "x" * 1_500_000)).text
    refused = site.client.post("/api/chat", json=question("huge", "x" * 20 * 2**20))
    assert (refused.status_code, refused.headers["content-type"]) == (413, "application/json")


def test_client_cannot_choose_its_address(site: Site) -> None:
    site.client.get("/api/info?spoofed", headers={"x-forwarded-for": SPOOFED}).raise_for_status()
    asyncio.run(eventually(lambda: "/api/info?spoofed" in site.server.output()))
    assert SPOOFED not in site.server.output()


def test_id_of_a_chat_arrives_as_it_was_sent(site: Site, upstream: ScriptedUpstream) -> None:
    upstream.will(Reply("text"))
    site.client.post("/api/chat", json=question("a//b?c"))
    assert site.client.get("/api/chats/a%2F%2Fb%3Fc").json()["id"] == "a//b?c"


def test_nobody_gets_in_without_a_key_and_watchers_need_none(site: Site) -> None:
    strangers: Mapping[str, str] = {"authorization": ""}
    assert site.client.get("/api/info", headers=strangers).status_code == 401
    assert site.client.get("/healthz", headers=strangers).status_code == 200
    assert site.client.get("/readyz", headers=strangers).json()["status"] == "ok"


def test_health_check_of_the_image_tells_a_server_that_answers_from_none(of_compose: Site) -> None:
    path = of_compose.variables["PATH"]
    command = image.command("HEALTHCHECK")
    with closing(hold_port()) as nobody:
        for port, code in ((of_compose.server.url.rpartition(":")[2], 0), (str(nobody.getsockname()[1]), 1)):
            told = [relocate(word, {"8000": port}) if "8000" in word else word for word in command]
            assert subprocess.run(told, env={"PATH": path}, capture_output=True, check=False).returncode == code


def test_image_has_the_page_the_version_and_what_its_settings_ask_for(
    of_compose: Site, installed: Path, bytecode: Mapping[str, str]
) -> None:
    assert "The page" in of_compose.client.get("/").text
    assert run([installed / "bin" / "usechat", "version"], **bytecode).strip() == usechat.__version__
    needed = "import asyncpg, jwt, prometheus_client, redis; print('all')"
    assert run([installed / "bin" / "python", "-c", needed], **bytecode)


def test_server_has_nothing_to_warn_of(site: Site) -> None:
    assert [line for line in site.log.read_text().splitlines() if " WARNING " in line or " ERROR " in line] == []


def test_image_gets_what_it_copies_and_no_secret() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [
        source
        for stage in STAGES.values()
        for name, value in stage
        if name == "COPY" and not value.startswith("--from")
        for source in value.split()[:-1]
    ]
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert {source.split("/")[0] for source in copied} == allowed
    assert [name for name, _ in STAGES[FINAL] if name in {"USER", "VOLUME"}] == ["USER", "VOLUME"]


def test_page_of_the_image_is_built_as_make_builds_it() -> None:
    commands = [value for name, value in STAGES["page"] if name == "RUN"]
    assert commands == ["npm ci", "npm run build:static"]
    assert "npm ci" in (ROOT / "scripts" / "packages").read_text()
    assert "run build:static" in (ROOT / "Makefile").read_text()


def test_services_need_what_is_there() -> None:
    values = {"POSTGRES_PASSWORD": "0a1b", "USECHAT_APPROVAL_SECRET": "s"}
    services = read_services(values)
    needed = {other for service in services.values() for other in service.get("depends_on", {})}
    assert needed <= set(services)
    mounted = [each.partition(":")[0] for service in services.values() for each in service.get("volumes", [])]
    assert [each for each in mounted if each.startswith("./") and not (ROOT / each).is_file()] == []
    for name in values:
        with pytest.raises(KeyError):
            read_services({other: value for other, value in values.items() if other != name})


def test_both_configurations_of_nginx_send_requests_on_alike() -> None:
    texts = [(ROOT / "deploy" / "nginx.conf").read_text(), blocks("nginx", "nginx")[0]]
    one, other = (re.sub(r"\s+", " ", text[text.index("location / {") :].partition("}")[0]) for text in texts)
    assert one == other


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_nothing_wrong_with_the_unit(installed: Path, tmp_path: Path) -> None:
    unit = tmp_path / "usechat.service"
    unit.write_text(relocate(blocks("systemd", "systemd")[0], {"/opt/usechat": str(installed)}))
    done = subprocess.run(["systemd-analyze", "verify", unit], text=True, capture_output=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "usechat" in line]) == (0, [])


def test_sqlite_is_backed_up_while_the_server_runs(
    of_systemd: Site, upstream: ScriptedUpstream, installed: Path, tmp_path: Path
) -> None:
    upstream.will(Reply("text"))
    of_systemd.client.post("/api/chat", json=question("kept"))
    places = {"/opt/usechat": str(installed), "/var/lib/usechat/usechat.db": of_systemd.database}
    script = relocate(blocks("sh", "Backup")[0], {**places, "/var/backups": str(tmp_path)})
    run(["sh", "-ec", script])
    with closing(sqlite3.connect(tmp_path / "usechat.db")) as copy:
        assert copy.execute("SELECT count(*) FROM usechat_chats WHERE id = 'kept'").fetchone() == (1,)
    assert (tmp_path / "usechat.db").stat().st_mode & 0o077 == 0


def test_postgresql_is_backed_up_while_the_server_runs_and_restored(
    of_compose: Site, upstream: ScriptedUpstream, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    upstream.will(Reply("text"))
    of_compose.client.post("/api/chat", json=question("kept"))
    dump, restore = (relocate(each, {"/var/backups": str(tmp_path)}) for each in blocks("sh", "Backup")[1:])
    path = f"{postgres_server.programs}:{os.environ['PATH']}"
    run(["sh", "-ec", dump], PATH=path, USECHAT_DATABASE_URL=of_compose.database)
    restored = postgres_server.make_database()
    for _ in range(2):
        # Into an empty database, and over what is there.
        run(["sh", "-ec", restore], PATH=path, USECHAT_DATABASE_URL=restored)
    count = "SELECT count(*) FROM usechat_chats WHERE id = 'kept'"
    assert postgres_server.ask(count, database=restored.rpartition("/")[2]) == "1\n"
