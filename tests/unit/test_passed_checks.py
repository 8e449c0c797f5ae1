"""A check that takes long runs again when something has changed that decides it, and when it failed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import sources, unchanged

Check = Callable[..., int]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a module and an installed package."""
    for module in (sources, unchanged):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / "a.py").write_text("a = 1\n")
    (tmp_path / "packages" / "tool-1.0").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("packages\nruns\n.cache\n")
    return tmp_path


@pytest.fixture
def check(checkout: Path) -> Check:
    """Run a check of the modules that ends so; return how often it has run."""
    runs = checkout / "runs"

    def check(*options: str, code: int = 0) -> int:
        program = f"import sys; open({str(runs)!r}, 'a').write('x'); sys.exit({code})"
        arguments = [*options, "--installed=packages/*", "name", "*.py", "--", sys.executable, "-c", program]
        runs.touch()
        before = runs.stat().st_size
        told = unchanged.main(arguments)
        after = runs.stat().st_size
        assert told == (code if after > before else 0)
        return after

    return check


def test_check_that_has_passed_does_not_run_again(check: Check) -> None:
    assert [check(), check()] == [1, 1]


def test_check_that_failed_runs_again(check: Check) -> None:
    assert [check(code=3), check(code=3), check(), check()] == [1, 2, 3, 3]


def test_check_runs_again_when_that_is_wanted(check: Check) -> None:
    assert [check(), check("--anew"), check()] == [1, 2, 2]


def change_module(checkout: Path) -> None:
    (checkout / "a.py").write_text("a = 2\n")


def add_module(checkout: Path) -> None:
    (checkout / "b.py").write_text("")


def remove_module(checkout: Path) -> None:
    (checkout / "a.py").unlink()


def rename_module(checkout: Path) -> None:
    (checkout / "a.py").rename(checkout / "c.py")


def update_package(checkout: Path) -> None:
    (checkout / "packages" / "tool-1.0").rename(checkout / "packages" / "tool-1.1")


@pytest.mark.parametrize("change", [change_module, add_module, remove_module, rename_module, update_package])
def test_check_runs_again_when_what_decides_it_has_changed(
    checkout: Path, check: Check, change: Callable[[Path], None]
) -> None:
    assert check() == 1
    change(checkout)
    assert [check(), check()] == [2, 2]


def test_check_does_not_run_again_for_what_does_not_decide_it(checkout: Path, check: Check) -> None:
    assert check() == 1
    (checkout / "notes.md").write_text("")
    assert check() == 1


def test_check_runs_where_git_does_not_know_the_files(
    checkout: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(checkout / "nowhere"))
    assert [check(), check()] == [1, 2]
