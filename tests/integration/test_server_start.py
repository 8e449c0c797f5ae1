"""The server says that it listens when it does; what prevents it is told in one line, with a failing exit status."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import httpx
import pytest

from tests.integration.running_server import USECHAT, environment, run, serving, workers_of
from tests.support.forks import fork
from tests.support.postgres import PostgresServer
from tests.support.programs import REFUSING_PORT
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

SECRET = "the-secret-word"
DATABASE = "USECHAT_DATABASE_URL"
REDIS = "USECHAT_REDIS_URL"
END_SECONDS = 60.0

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and users are those of POSIX")


def refusing(scheme: str) -> str:
    return f"{scheme}://u:{SECRET}@127.0.0.1:{REFUSING_PORT}/0"


def newer_file(folder: Path) -> str:
    with sqlite3.connect(folder / "newer.db") as connection:
        connection.execute("CREATE TABLE usechat_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO usechat_version VALUES ('9999')")
    connection.close()
    return f"sqlite:///{folder}/newer.db"


def other_file(folder: Path) -> str:
    (folder / "notes.txt").write_text("no database " * 100)
    return f"sqlite:///{folder}/notes.txt"


def file_below_file(folder: Path) -> str:
    (folder / "a-file").write_text("")
    return f"sqlite:///{folder}/a-file/chats.db"


SETTINGS: dict[str, tuple[str, Callable[[Path], str], str]] = {
    "database's scheme": (DATABASE, lambda _: f"mysql://u:{SECRET}@h/db", "mysql is not supported: use sqlite or"),
    "no database's URL": (DATABASE, lambda _: SECRET, "URL must be like sqlite:///file.db or postgresql://"),
    "database refuses": (DATABASE, lambda _: refusing("postgresql"), "cannot be used (Connection refused): start it"),
    "database's host": (DATABASE, lambda _: f"postgresql://u:{SECRET}@no.such.host.invalid/db", "no.such.host.invalid"),
    "folder that cannot be": (DATABASE, file_below_file, "cannot be used (File exists)"),
    "folder": (DATABASE, lambda folder: f"sqlite:///{folder}", "unable to open database file"),
    "no database": (DATABASE, other_file, "file is not a database"),
    "newer file": (DATABASE, newer_file, "made by a newer version of usechat: install that one."),
    "Redis' scheme": (REDIS, lambda _: f"http://:{SECRET}@localhost", "must begin with redis://"),
    "no Redis' URL": (REDIS, lambda _: SECRET, "must begin with redis://"),
    "Redis refuses": (REDIS, lambda _: refusing("redis"), "cannot be used (Connection refused): start it"),
}


WITH_PROGRAMS = {"database refuses"}
"""A cause that is tried with programs, of one and of two workers: what it has in common with the others is a forked
one's to show."""


def starts(
    folder: Path, variables: Mapping[str, str], *before: str, programs: bool = False
) -> list[subprocess.CompletedProcess[str]]:
    """How servers end that cannot start, of one worker and of two: they are forked, or programs.

    Args:
        folder: Where they run.
        variables: Their settings.
        before: A command that starts a program, of one worker.
        programs: Whether to start programs, that of one worker as a module.
    """
    options = ["--port", "0", "--model", "demo"]
    if not programs and not before:
        # A server of several workers has none before it has looked at its storage, so it can be forked.
        return [run(folder, ["serve", *options, "--workers", workers], **variables) for workers in ("1", "2")]
    commands = [[*before, sys.executable, "-m", "usechat", "serve"]]
    if programs:
        commands.append([*before, str(USECHAT), "serve", "--workers", "2"])
    started = [
        subprocess.Popen(
            [*command, *options],
            cwd=folder,
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Who is left of its group can be looked for.
            start_new_session=True,
        )
        for command in commands
    ]
    ended: list[subprocess.CompletedProcess[str]] = []
    try:
        for process in started:
            output, errors = process.communicate(timeout=END_SECONDS)
            ended.append(subprocess.CompletedProcess(process.args, process.returncode, output, errors))
            with pytest.raises(ProcessLookupError):
                os.killpg(process.pid, 0)
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return ended


def check_refusal(ended: list[subprocess.CompletedProcess[str]], variable: str, sentence: str) -> None:
    for one in ended:
        assert (one.returncode, one.stdout) == (2, ""), one
        [line] = one.stderr.splitlines()
        assert line.startswith(f"usechat: {variable}: ")
        assert sentence in line
        assert SECRET not in line


@pytest.mark.parametrize("case", SETTINGS)
def test_database_or_redis_that_cannot_be_used_is_told_in_one_line(tmp_path: Path, case: str) -> None:
    variable, value, sentence = SETTINGS[case]
    check_refusal(starts(tmp_path, {variable: value(tmp_path)}, programs=case in WITH_PROGRAMS), variable, sentence)


def test_folder_that_nobody_may_write_is_told_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    # Without this, root may write everywhere.
    humbly = ("setpriv", "--bounding-set=-dac_override")
    ended = starts(tmp_path, {DATABASE: f"sqlite:///{folder}/chats.db"}, *humbly)
    check_refusal(ended, DATABASE, "Permission denied")


def test_postgresql_that_is_not_ready_is_told_in_one_line(tmp_path: Path, postgres_server: PostgresServer) -> None:
    url = postgres_server.make_database()
    check_refusal(starts(tmp_path, {DATABASE: url}), DATABASE, "run usechat migrate")
    missing = url.rpartition("/")[0] + "/nowhere"
    check_refusal(starts(tmp_path, {DATABASE: missing}), DATABASE, 'database "nowhere" does not exist')


def test_postgresql_that_wants_another_password_is_told_in_one_line(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    # Those who may not log in are refused, whatever their password.
    postgres_server.ask("CREATE ROLE stranger NOLOGIN")
    url = postgres_server.make_database().replace("postgres@", f"stranger:{SECRET}@")
    check_refusal(starts(tmp_path, {DATABASE: url}), DATABASE, "not permitted to log in")


def test_redis_that_wants_another_password_is_told_in_one_line(tmp_path: Path, own_redis: RedisServer) -> None:
    own_redis.ask("CONFIG", "SET", "requirepass", "something-else")
    check_refusal(starts(tmp_path, {REDIS: own_redis.url}), REDIS, "Authentication required")
    wrong = own_redis.url.replace("redis://", f"redis://:{SECRET}@")
    check_refusal(starts(tmp_path, {REDIS: wrong}), REDIS, "correct the address or the password")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_redis_that_comes_a_moment_later_is_waited_for(tmp_path: Path, workers: str) -> None:
    redis = RedisServer(tmp_path)
    # Two seconds of five that it has.
    later = threading.Timer(2, redis.start)
    later.start()
    try:
        with serving(tmp_path, "--model", "demo", "--workers", workers, **{REDIS: redis.url}) as server:
            assert server.log.read_text() == ""
    finally:
        later.join()
        redis.close()


def test_application_in_another_server_tells_its_failure_in_one_line(tmp_path: Path) -> None:
    variables = {DATABASE: newer_file(tmp_path), "USECHAT_MODEL": "demo"}
    command = [sys.executable, "-m", "uvicorn", "--factory", "usechat.server.app:create_app", "--port", "0"]
    done = subprocess.run(
        [*command, "--log-level", "error"],
        cwd=tmp_path,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=END_SECONDS,
    )
    assert done.returncode == 3
    first, *others = done.stderr.splitlines()
    assert first.startswith(f"ERROR:    {DATABASE}: SQLite's file")
    assert others == ["ERROR:    Application startup failed. Exiting."]


@pytest.fixture
def starting() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts servers that tests look at before they say anything."""
    with ExitStack() as stack:

        def start(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [USECHAT, "serve", "--port", "0", "--model", "demo", *arguments],
                cwd=folder,
                env=environment(**variables),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

            def end() -> None:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()

            stack.callback(end)
            return process

        yield start


def output_of(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


@pytest.mark.parametrize("workers", ["1", "2"])
def test_server_answers_when_it_says_that_it_listens(
    tmp_path: Path, starting: Callable[..., subprocess.Popen[str]], workers: str
) -> None:
    process = starting(tmp_path, "--workers", workers)
    url = output_of(process).readline().partition("http://")[2].split()[0]
    # The first one to ask is answered by a worker that has started, or waits for one that starts: nobody is refused.
    assert httpx.get(f"http://{url}/healthz", timeout=END_SECONDS).status_code == 200
    process.terminate()
    assert process.wait(END_SECONDS) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_that_is_starting_can_be_stopped(tmp_path: Path, workers: str, number: signal.Signals) -> None:
    command = [str(USECHAT), "serve", "--port", "0", "--model", "demo", "--workers", workers]
    log = tmp_path / "log"
    with socket.create_server(("127.0.0.1", 0)) as silent, log.open("w") as errors:
        # It takes connections and says nothing: the server waits for it, before it starts workers.
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        process = fork(command, tmp_path, environment(**{REDIS: url}), errors)
        connection, _ = silent.accept()
        with connection:
            process.send_signal(number)
            process.wait(END_SECONDS)
    assert process.stdout is not None
    with process.stdout as output:
        assert output.read() == ""
    assert "Traceback" not in log.read_text()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def break_workers(folder: Path) -> dict[str, str]:
    """Have each worker die when it begins, and write that down."""
    (folder / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if '--multiprocessing-fork' in sys.orig_argv:\n"
        f"    open({str(folder / 'deaths')!r}, 'a').write('x')\n"
        "    os._exit(7)\n"
    )
    return {"PYTHONPATH": str(folder)}


def test_workers_that_die_at_their_start_are_given_up(
    tmp_path: Path, starting: Callable[..., subprocess.Popen[str]]
) -> None:
    process = starting(tmp_path, "--workers", "2", **break_workers(tmp_path))
    output, errors = process.communicate(timeout=END_SECONDS)
    assert (process.returncode, output) == (2, "")
    assert errors.splitlines() == ["usechat: the workers do not start: the lines above say why."]
    assert len((tmp_path / "deaths").read_text()) <= 6


@pytest.mark.anyio
async def test_worker_that_dies_later_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "2", "--model", "demo") as server:
        await eventually(lambda: len(workers_of(server)) == 2)
        before = workers_of(server)
        os.kill(min(before), signal.SIGKILL)
        await eventually(lambda: len(workers_of(server) - before) == 1)
        assert server.client.get("/healthz").status_code == 200
        assert server.stop() == 0
