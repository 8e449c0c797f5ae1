"""The server as a process: how it starts, refuses to start, and stops."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import usechat
from tests.integration.running_server import START_SECONDS, USECHAT, environment, run, serving, serving_program
from tests.support.waiting import eventually
from usechat.testing.replay import ReplayServer, Reply
from usechat.testing.streams import read_events

BODY = {
    "id": "chat",
    "trigger": "submit-message",
    "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "?"}]}],
}
AFTER_FIRST_DELTA = [index for index, event in enumerate(read_events("text")) if "text_delta" in event][1]


@pytest.mark.parametrize(
    ("arguments", "variables", "sentence"),
    [
        (["--port", "http"], {}, "USECHAT_PORT (--port) must be a whole number from 0 to 65535."),
        ([], {"USECHAT_SDK": "8"}, "USECHAT_SDK must be auto, a major from 2 to 7 or a version such as 6.0.100."),
        (["--host", "0.0.0.0"], {}, "USECHAT_HOST (--host) must be a loopback address as long as"),
        (
            ["--host", "no.such.host.invalid", "--insecure"],
            {},
            "USECHAT_HOST (--host) must be an address of this machine",
        ),
        (["--host", "192.0.2.1", "--insecure"], {}, "USECHAT_HOST (--host) must be an address of this machine"),
        (["--env-file", "nowhere"], {}, "USECHAT_ENV_FILE (--env-file) must name a file that is there."),
    ],
)
def test_wrong_setting_stops_the_start_with_one_line(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], sentence: str
) -> None:
    done = run(tmp_path, ["serve", *arguments], **variables)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"usechat: {sentence}")


def test_port_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(tmp_path, ["serve", "--port", port, "--model", "demo"])
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith(f"usechat: Port {port} on 127.0.0.1 is in use: USECHAT_PORT (--port) must be a free one")


def test_first_line_says_where_it_listens_and_who_answers(tmp_path: Path) -> None:
    with serving_program(tmp_path, ANTHROPIC_API_KEY="unused") as server:
        assert "claude-sonnet-4-6 answers, because ANTHROPIC_API_KEY is set" in server.first_line
        assert server.log.read_text() == ""
        assert server.client.get("/docs").status_code == 200


def test_model_without_a_key_is_warned_of(tmp_path: Path) -> None:
    with serving(tmp_path, "--model", "claude-sonnet-4-6") as server:
        assert "No key for Anthropic is set" in server.first_line
        assert "ANTHROPIC_API_KEY" in server.client.get("/api/info").json()["notice"]


def test_settings_come_from_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("USECHAT_MODEL=demo\nUSECHAT_API_KEYS=the-key\nUSECHAT_API_KEI=typo\n")
    with serving(tmp_path) as server:
        assert server.client.get("/api/info").status_code == 401
        response = server.client.get("/api/info", headers={"authorization": "Bearer the-key"})
        assert response.json()["model"]["id"] == "demo"
        assert "USECHAT_API_KEI is no setting and does nothing" in server.log.read_text()


def test_server_with_keys_listens_for_strangers_and_shows_them_no_docs(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "0.0.0.0", "--model", "demo", USECHAT_API_KEYS="the-key") as server:
        for path in ("/docs", "/openapi.json"):
            assert server.client.get(path).status_code == 401
            assert server.client.get(path, headers={"authorization": "Bearer the-key"}).status_code == 404


def test_requests_are_logged_when_that_is_wanted(tmp_path: Path) -> None:
    with serving(tmp_path, "--model", "demo", USECHAT_ACCESS_LOG="1") as server:
        server.client.get("/healthz", headers={"x-request-id": "of-the-test"})
        server.stop()
        assert '"GET /healthz HTTP/1.1" 200' in server.log.read_text()


def test_failed_answer_is_logged_with_its_request(tmp_path: Path) -> None:
    with (
        ReplayServer(Reply(status=529, headers={"x-should-retry": "false"})) as upstream,
        serving(tmp_path, ANTHROPIC_API_KEY="unused", ANTHROPIC_BASE_URL=upstream.url) as server,
    ):
        server.client.post("/api/chat", json=BODY, headers={"x-request-id": "of-the-test"})
        log = server.log.read_text()
    assert "[of-the-test]" in log
    assert "scripted 529" in log


def test_idle_server_stops_at_once(tmp_path: Path) -> None:
    with serving_program(tmp_path, "--model", "demo", USECHAT_SHUTDOWN_SECONDS="120") as server:
        assert server.stop(within=30) == 0


def test_running_answer_may_end_before_the_server_does(tmp_path: Path) -> None:
    with (
        ReplayServer(Reply("text", delay=0.1)) as upstream,
        serving(
            tmp_path,
            ANTHROPIC_API_KEY="unused",
            ANTHROPIC_BASE_URL=upstream.url,
            USECHAT_SHUTDOWN_SECONDS="60",
        ) as server,
    ):
        with server.client.stream("POST", "/api/chat", json=BODY) as response:
            pieces = response.iter_text()
            seen = next(pieces)
            server.process.terminate()
            seen += "".join(pieces)
        assert server.process.wait(60) == 0
    assert '"type":"finish"' in seen
    assert seen.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_server_that_stops_refuses_connections_while_an_answer_goes_on(tmp_path: Path, workers: str) -> None:
    with (
        ReplayServer(Reply("text", hold_after=AFTER_FIRST_DELTA)) as upstream,
        serving(
            tmp_path,
            ANTHROPIC_API_KEY="unused",
            ANTHROPIC_BASE_URL=upstream.url,
            USECHAT_WORKERS=workers,
            USECHAT_SHUTDOWN_SECONDS="120",
        ) as server,
    ):
        with server.client.stream("POST", "/api/chat", json=BODY) as response:
            pieces = response.iter_text()
            seen = ""
            while "High water" not in seen:
                seen += next(pieces)
            server.process.terminate()
            while not is_refused(server.client.base_url.port):
                time.sleep(0.05)
            assert server.process.poll() is None
            upstream.requests[0].go_on()
            seen += "".join(pieces)
        assert server.process.wait(60) == 0
    assert '"type":"finish"' in seen


def is_refused(port: int | None) -> bool:
    try:
        # One that is taken all the same is closed, or waits for nobody.
        socket.create_connection(("127.0.0.1", port or 0)).close()
    except ConnectionRefusedError:
        return True
    return False


def is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("workers", ["1", "2"])
def test_server_whose_first_line_nobody_reads_ends_with_its_workers(tmp_path: Path, workers: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [str(USECHAT), "serve", "--port", "0", "--model", "demo", "--workers", workers]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=writing, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        os.close(writing)
        try:
            assert process.wait(START_SECONDS) != 0
            # A helper of multiprocessing's ends a moment later.
            asyncio.run(eventually(lambda: not is_there(process.pid)))
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_answer_that_takes_too_long_is_ended_legally(tmp_path: Path) -> None:
    with (
        ReplayServer(Reply("text", hold_after=AFTER_FIRST_DELTA)) as upstream,
        serving(
            tmp_path, ANTHROPIC_API_KEY="unused", ANTHROPIC_BASE_URL=upstream.url, USECHAT_SHUTDOWN_SECONDS="0"
        ) as server,
    ):
        with server.client.stream("POST", "/api/chat", json=BODY) as response:
            pieces = response.iter_text()
            seen = ""
            while "High water" not in seen:
                seen += next(pieces)
            server.process.terminate()
            seen += "".join(pieces)
        assert server.process.wait(20) == 0
        upstream.requests[0].wait()
        assert upstream.requests[0].is_aborted
    assert '"type":"abort"' in seen
    assert seen.endswith("data: [DONE]\n\n")


def test_provider_that_falls_silent_ends_the_answer_in_the_time_of_the_settings(tmp_path: Path) -> None:
    with (
        ReplayServer(Reply("text", hold_after=AFTER_FIRST_DELTA)) as upstream,
        serving(
            tmp_path, ANTHROPIC_API_KEY="unused", ANTHROPIC_BASE_URL=upstream.url, USECHAT_CHUNK_SECONDS="0.5"
        ) as server,
    ):
        seen = server.client.post("/api/chat", json=BODY).text
        log = server.log.read_text()
    assert "High water" in seen
    assert seen.count('"type":"error"') == 1
    assert seen.endswith("data: [DONE]\n\n")
    assert "the model brought nothing more for 0.5 s (timeout.chunk)" in log


def test_workers_share_what_they_sign_with(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", "--model", "demo") as server:
        assert server.client.get("/api/info").json()["model"]["id"] == "demo"
        assert "USECHAT_APPROVAL_SECRET" not in server.log.read_text()
        assert server.stop() == 0


def test_reloading_server_answers(tmp_path: Path) -> None:
    with serving(tmp_path, "--reload", "--model", "demo") as server:
        assert server.client.get("/healthz").json()["version"] == usechat.__version__
        server.stop()


def test_settings_are_shown_with_their_sources(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("USECHAT_MODEL=demo\n")
    done = run(tmp_path, ["settings"], USECHAT_API_KEYS="secret-key", USECHAT_PROT="1")
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert done.returncode == 0
    assert rows["USECHAT_MODEL"] == ["demo", ".env"]
    assert rows["USECHAT_API_KEYS"] == ["********", "env"]
    assert rows["USECHAT_PORT"] == ["8000", "default"]
    assert "secret-key" not in done.stdout
    (tmp_path / "production.env").write_text("USECHAT_MODEL=local\n")
    other = run(tmp_path, ["settings", "--env-file", "production.env"]).stdout
    assert ["USECHAT_MODEL", "local", str(tmp_path / "production.env")] in [line.split() for line in other.splitlines()]
    assert done.stderr.startswith("USECHAT_PROT is no setting")


AS_ANOTHER_USER = """
import os
from usechat.errors import ConfigurationError
from usechat.server.environment import load_environment

# All is imported before the change: the interpreter may be in a folder of the first user's.
load_environment()
os.chmod({path!r}, 0)
if os.getuid() == 0:
    os.setuid(65534)
try:
    print(load_environment().sources["USECHAT_MODEL"])
except ConfigurationError as error:
    print(error)
"""


@pytest.mark.parametrize(("path", "said"), [(".", "default"), (".env", ".env must be a file that this user may read.")])
def test_file_of_settings_that_this_user_may_not_read(tmp_path: Path, path: str, said: str) -> None:
    (tmp_path / ".env").write_text("USECHAT_MODEL=demo\n")
    tmp_path.chmod(0o755)
    program = [sys.executable, "-c", AS_ANOTHER_USER.format(path=path)]
    done = subprocess.run(program, cwd=tmp_path, env=environment(), text=True, capture_output=True, check=False)
    tmp_path.chmod(0o700)
    assert done.stdout.strip() == said, done.stderr


def test_wrong_setting_is_told_by_settings_too(tmp_path: Path) -> None:
    done = run(tmp_path, ["settings"], USECHAT_PORT="x")
    assert done.returncode == 2
    assert done.stderr == "usechat: USECHAT_PORT (--port) must be a whole number from 0 to 65535.\n"


def test_module_runs_as_the_command_does(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "usechat", "version"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == usechat.__version__


def test_command_line_starts_without_the_server(tmp_path: Path) -> None:
    program = "import json, sys, usechat.cli; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert {"fastapi", "uvicorn", "pydantic", "anthropic", "aiohttp"} & set(json.loads(done.stdout)) == set()
