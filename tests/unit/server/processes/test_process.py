"""The parts of ``usechat serve`` that need no process of their own."""

from __future__ import annotations

import asyncio
import json
import logging
import logging.config
import signal
import socket
import threading
from pathlib import Path
from types import FrameType

import pytest
from starlette.types import Message, Receive, Scope, Send
from typer.testing import CliRunner

import usechat
from tests.support.waiting import PATIENCE
from usechat.cli import app
from usechat.errors import AnswerFailedError, ConfigurationError, RunError
from usechat.server.access.asking import Asking, asking
from usechat.server.access.middleware import FailedStarts
from usechat.server.log import CutFilter, JsonFormatter, LineFormatter, RequestFilter, log_config
from usechat.server.processes.process import bind, listen, listen_error, url_of, uvicorn_config
from usechat.server.processes.shutdown import stopping
from usechat.server.settings import Settings


def test_socket_listens_without_waiting_for_acknowledgements() -> None:
    with bind("127.0.0.1", 0) as listener:
        listen(listener, "127.0.0.1", 0)
        port = listener.getsockname()[1]
        assert url_of(listener) == f"http://127.0.0.1:{port}"
        # asyncio turns Nagle's algorithm off on connections of a socket that names its protocol, and on no others.
        assert listener.proto == socket.IPPROTO_TCP
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE):
            pass


def test_address_of_ipv6_is_written_with_brackets() -> None:
    try:
        listener = bind("::1", 0)
    except ConfigurationError:
        pytest.skip("this machine has no IPv6")
    with listener:
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_port_in_use_is_told() -> None:
    in_use = pytest.raises(ConfigurationError, match=r"^Port \d+ on 127.0.0.1 is in use")
    with socket.create_server(("127.0.0.1", 0)) as taken, in_use:
        bind("127.0.0.1", taken.getsockname()[1])


def test_port_that_another_server_took_meanwhile_is_told() -> None:
    with bind("127.0.0.1", 0) as faster:
        port = faster.getsockname()[1]
        with bind("127.0.0.1", port) as listener:
            listen(faster, "127.0.0.1", port)
            with pytest.raises(ConfigurationError, match=f"^Port {port} on 127.0.0.1 is in use"):
                listen(listener, "127.0.0.1", port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_host_that_is_not_this_machine_is_told(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^USECHAT_HOST \(--host\) must be an address of this machine"):
        bind(host, 0)


def test_port_that_only_root_may_use_is_told() -> None:
    assert str(listen_error(PermissionError(13, "Permission denied"), "127.0.0.1", 80)) == (
        "USECHAT_PORT (--port) must be one that this user may listen on, not 80."
    )


def test_log_lines_name_their_request(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level, ours = root.handlers[:], root.level, logging.getLogger("usechat")
    token = asking.set(Asking("of-the-test"))
    try:
        logging.config.dictConfig(log_config(Settings()))
        logging.getLogger("usechat.somewhere").info("heard")
        logging.getLogger("another.package").info("not heard")
    finally:
        asking.reset(token)
        root.handlers[:] = handlers
        root.setLevel(level)
        ours.setLevel(logging.NOTSET)
    printed = capsys.readouterr().err
    assert "INFO usechat.somewhere [of-the-test] heard" in printed
    assert "not heard" not in printed


def make_record(text: str, error: Exception | None = None) -> logging.LogRecord:
    exc_info = None if error is None else (type(error), error, error.__traceback__)
    record = logging.LogRecord("usechat", logging.INFO, "", 0, text, None, exc_info)
    RequestFilter().filter(record)
    return record


def cut_by(error: BaseException) -> logging.LogRecord:
    """What uvicorn logs when a response raises this."""
    record = make_record("Exception in ASGI application\n")
    record.name, record.levelno, record.levelname = "uvicorn.error", logging.ERROR, "ERROR"
    record.exc_info = (type(error), error, None)
    CutFilter().filter(record)
    return record


def raised_for(cause: BaseException) -> RuntimeError:
    error = RuntimeError("Caught handled exception, but response already started.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (AnswerFailedError("The model is busy."), "The model is busy"),
        (asyncio.CancelledError("timeout graceful shutdown exceeded"), "this process ends"),
        (RunError("this process shuts down", code="unavailable"), "this process shuts down"),
        (raised_for(RunError("the run log cannot be reached", code="unavailable")), "the run log cannot be reached"),
    ],
)
def test_response_that_has_to_be_cut_takes_one_line_of_the_log(error: BaseException, why: str) -> None:
    line = LineFormatter().format(cut_by(error))
    assert line.splitlines() == [line]
    assert line.endswith(f"WARNING uvicorn.error [-] a response was cut: {why}")


@pytest.mark.parametrize("error", [ValueError("broken"), raised_for(ValueError("broken"))])
def test_response_that_a_bug_cuts_has_its_traceback(error: Exception) -> None:
    first, *rest = LineFormatter().format(cut_by(error)).splitlines()
    assert "ERROR uvicorn.error [-] Exception in ASGI application" in first
    assert str(error) in rest[-1]


HOSTILE = "chat-1\r\n2026-01-01 INFO usechat [-] all is well\x1b[2J\u202e\u2028"


@pytest.mark.parametrize("formatter", [LineFormatter(), JsonFormatter()])
def test_what_a_client_sends_cannot_write_log_lines(formatter: logging.Formatter) -> None:
    token = asking.set(Asking("r", chat=HOSTILE, run="run-1", user="ann"))
    try:
        line = formatter.format(make_record(f"chat {HOSTILE} ended"))
        failed = formatter.format(make_record("failed", ValueError(HOSTILE)))
    finally:
        asking.reset(token)
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    assert "run-1" in line
    assert "ann" in line
    _, *rest = failed.splitlines()
    assert rest == [] or all(each.startswith("  ") for each in rest)
    assert "ValueError" in failed


def test_json_lines_hold_the_ids_of_the_request() -> None:
    token = asking.set(Asking("r", chat="c", run="n", user="ann"))
    try:
        written = json.loads(JsonFormatter().format(make_record("told")))
    finally:
        asking.reset(token)
    assert written.pop("time").startswith("20")
    assert written == {
        "level": "info", "logger": "usechat", "message": "told", "request": "r", "chat": "c", "run": "n", "user": "ann"
    }  # fmt: skip


def test_log_lines_outside_of_requests_say_so() -> None:
    record = logging.LogRecord("usechat", logging.INFO, "", 0, "text", None, None)
    assert RequestFilter().filter(record)
    assert record.__dict__["request_id"] == "-"


def test_reloading_server_is_one_process_and_watches_the_package() -> None:
    config = uvicorn_config(Settings(workers=3), reload=True)
    assert (config.workers, config.should_reload) == (1, True)
    assert config.reload_dirs == [Path(usechat.__file__).parent]
    assert uvicorn_config(Settings(workers=3), reload=False).workers == 3


def test_answers_are_ended_some_time_after_the_stop_signal() -> None:
    heard: list[str] = []

    async def main() -> None:
        ended = asyncio.Event()

        def end() -> None:
            heard.append("answers")
            ended.set()

        with stopping(lambda: heard.append("no more"), end, 0.01):
            signal.raise_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE):
                await ended.wait()

    def serve(_number: int, _frame: FrameType | None) -> None:
        heard.append("server")

    before = signal.signal(signal.SIGTERM, serve)
    try:
        asyncio.run(main())
        assert signal.getsignal(signal.SIGTERM) is serve
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == ["server", "no more", "answers"]


def test_handler_that_was_not_set_from_python_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def getsignal(_number: int) -> None:
        """Return what it returns for a handler that it does not know."""

    monkeypatch.setattr(signal, "getsignal", getsignal)

    async def main() -> None:
        with stopping(lambda: None, lambda: None, 0):
            pass

    asyncio.run(main())
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGTERM) is before


def test_signals_are_left_alone_outside_of_the_main_thread() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[object] = []

    def work() -> None:
        with stopping(lambda: None, lambda: None, 0):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    # What the command sets is taken away again.
    for name in ("HOST", "PORT", "MODEL", "WORKERS", "INSECURE", "ENV_FILE"):
        monkeypatch.setenv(f"USECHAT_{name}", "")
    return CliRunner()


def test_command_prints_its_version(command: CliRunner) -> None:
    assert command.invoke(app, ["version"]).stdout == f"{usechat.__version__}\n"


def test_command_shows_settings_of_a_file(command: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "settings").write_text("USECHAT_MODEL=demo\nUSECHAT_MODLES=x\n")
    shown = command.invoke(app, ["settings", "--env-file", "settings"])
    assert shown.exit_code == 0
    assert ["USECHAT_MODEL", "demo", str(tmp_path / "settings")] in [line.split() for line in shown.stdout.splitlines()]
    assert shown.stderr.startswith("USECHAT_MODLES is no setting")


@pytest.mark.parametrize(
    "arguments",
    [["serve", "--port", "x"], ["serve", "--host", "0.0.0.0"], ["settings", "--env-file", "nowhere"]],
)
def test_command_refuses_wrong_settings_in_one_line(command: CliRunner, arguments: list[str]) -> None:
    done = command.invoke(app, arguments)
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1


def test_command_gives_its_arguments_to_the_server(command: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command.invoke(app, ["serve", "--port", port, "--model", "demo", "--insecure"])
    assert done.stderr.startswith(f"usechat: Port {port} on 127.0.0.1 is in use")


class FailingLifespan:
    """An application that cannot start, as Starlette tells it."""

    def __init__(self, error: Exception, *, tells: bool = True) -> None:
        self.error = error
        self.tells = tells

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.tells:
            await send({"type": "lifespan.startup.failed", "message": "Traceback (most recent call last): ..."})
        raise self.error


async def start(application: FailingLifespan) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    try:
        await FailedStarts(application)({"type": "lifespan"}, receive, send)
    except (ConfigurationError, ValueError) as error:
        sent.append({"type": "raised", "error": error})
    return sent


@pytest.mark.anyio
async def test_start_that_a_setting_prevents_is_told_in_one_line() -> None:
    error = ConfigurationError("no such database")
    told: Message = {"type": "lifespan.startup.failed", "message": "no such database"}
    assert await start(FailingLifespan(error)) == [told]
    # One that fails later, at its end, is not told so.
    assert await start(FailingLifespan(error, tells=False)) == [{"type": "raised", "error": error}]


@pytest.mark.anyio
async def test_start_that_fails_of_a_fault_of_our_own_is_told_with_its_traceback() -> None:
    error = ValueError("broken")
    told: Message = {"type": "lifespan.startup.failed", "message": "Traceback (most recent call last): ..."}
    assert await start(FailingLifespan(error)) == [told, {"type": "raised", "error": error}]
