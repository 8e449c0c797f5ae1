from __future__ import annotations

import sys

import pytest

from usechat.__main__ import main
from usechat.errors import ConfigurationError
from usechat.extras import needing


def test_missing_package_is_told_with_the_extras_that_bring_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(ConfigurationError) as told, needing("sqlite", "postgres"):
        __import__("asyncpg")

    assert str(told.value) == (
        "The package asyncpg is not installed: pip install 'usechat[sqlite]' or pip install 'usechat[postgres]'."
    )


def test_other_errors_pass() -> None:
    with pytest.raises(ValueError, match="mine"), needing("redis"):
        raise ValueError("mine")


def test_command_without_its_packages_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "usechat.cli", raising=False)
    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert capsys.readouterr().err == "usechat: The package typer is not installed: pip install 'usechat[server]'.\n"


def test_doctor_without_typer_names_its_own_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)
    monkeypatch.delitem(sys.modules, "usechat.cli", raising=False)
    monkeypatch.setattr(sys, "argv", ["usechat", "doctor", "http://127.0.0.1/api/chat"])
    with pytest.raises(SystemExit):
        main()

    assert capsys.readouterr().err == "usechat: The package typer is not installed: pip install 'usechat[doctor]'.\n"


def test_command_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["usechat", "version"])
    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 0
    assert capsys.readouterr().out


def test_doctor_without_its_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("usechat.doctor")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.setattr(sys, "argv", ["usechat", "doctor", "http://127.0.0.1/api/chat"])
    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert capsys.readouterr().err == "usechat: The package httpx is not installed: pip install 'usechat[doctor]'.\n"
