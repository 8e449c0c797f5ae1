"""What has to be there before something runs: Python and npm packages, the built page, programs.

Each preparation knows what it is made from, so that it is carried out again only when that has changed. Addresses of
package registries are the business of uv's, pip's and npm's own configuration.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.progress import ROOT, Command, Progress, StepFailedError, run_logged, tail
from scripts.stamps import files_below, fingerprint, is_current, mark_current
from scripts.system_programs import install, programs_for

__all__ = [
    "BASE_PACKAGES",
    "DEPLOY_PYTHON",
    "DEV_PACKAGES",
    "LOCAL_MODEL",
    "PAGE",
    "VIRTUAL_ENVIRONMENT",
    "WEB_PACKAGES",
    "Preparation",
    "carry_out",
    "carry_out_all",
    "carry_out_due",
    "index_of_pip",
    "npm_packages_below",
    "programs",
    "tool_variables",
]

_VENV = ROOT / ".venv"
_DEPLOY_VENV = ROOT / ".cache" / "deploy-python"
_LOCKS = ROOT / "requirements"
_PYPROJECT = ROOT / "pyproject.toml"
_WEB = ROOT / "web"

_Run = Callable[[Command], None]


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """One thing to set up."""

    name: str
    title: str
    product: Path
    """What exists when it has been done."""
    made_from: Callable[[], str]
    """The fingerprint of what decides whether it has to be done again."""
    make: Callable[[_Run], None]
    without: str = ""
    """What it means to go on without it; empty when there is no going on."""

    def is_current(self) -> bool:
        """Whether it has been done already, from the same."""
        return is_current(self.name, self.made_from(), self.product)


def carry_out(preparation: Preparation, progress: Progress) -> None:
    """Do one preparation, unless its product is there and current.

    Raises:
        StepFailedError: With the end of the tools' output, unless the preparation can be gone without.
    """
    progress.start(preparation.title)
    if preparation.is_current():
        progress.end("up to date")
        return
    log = ROOT / ".cache" / "logs" / f"{preparation.name}.log"
    log.unlink(missing_ok=True)

    def run(command: Command) -> None:
        if run_logged(command, log, progress.tick) != 0:
            raise StepFailedError(f"{tail(log)}\n\nThe whole log: {log}")

    try:
        preparation.make(run)
    except StepFailedError:
        if not preparation.without:
            progress.end(f"failed after {progress.seconds():.0f} s")
            raise
        progress.end(f"not possible here ({log.relative_to(ROOT)}): {preparation.without}")
        return
    mark_current(preparation.name, preparation.made_from())
    progress.end(f"done in {progress.seconds():.0f} s")


def carry_out_all(preparations: Iterable[Preparation], progress: Progress) -> set[str]:
    """Do several preparations, print why one fails, and return the names of those that failed."""
    failed: set[str] = set()
    for preparation in preparations:
        try:
            carry_out(preparation, progress)
        except StepFailedError as error:
            print(error, flush=True)
            failed.add(preparation.name)
    return failed


def carry_out_due(preparations: Iterable[Preparation]) -> set[str]:
    """As `carry_out_all`, and without a word about those that are up to date."""
    due = [preparation for preparation in preparations if not preparation.is_current()]
    return carry_out_all(due, Progress(len(due)))


def tool_variables() -> dict[str, str]:
    """The variables with which everything in the virtual environment is found first, and is compiled only once.

    Where Python is told to keep no bytecode, as in many containers, each process would compile all that it imports:
    three seconds for a server. It lies in a folder of its own, so that the sources stay as clean as was wished.
    """
    return {
        "VIRTUAL_ENV": str(_VENV),
        "PATH": f"{_VENV / 'bin'}:{os.environ.get('PATH', os.defpath)}",
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(ROOT / ".cache" / "bytecode"),
    }


# Python


def _make_virtual_environment(run: _Run) -> None:
    if not _runs(_VENV / "bin" / "python"):
        run(Command(arguments=[sys.executable, "-m", "venv", "--clear", "--without-pip", _VENV]))
    requirements = ["--require-hashes", "--requirement", str(_LOCKS / "bootstrap.lock")]
    if _has_pip(sys.executable):
        pip = [sys.executable, "-m", "pip", "--python", str(_VENV / "bin" / "python")]
    else:
        run(Command(arguments=[_VENV / "bin" / "python", "-m", "ensurepip"]))  # Debian has it in python3-venv
        pip = [str(_VENV / "bin" / "python"), "-m", "pip"]
    run(Command(arguments=[*pip, "install", "--disable-pip-version-check", *requirements]))


def _runs(python: Path) -> bool:
    version = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    return python.exists() and subprocess.run(version, check=False).returncode == 0


def _has_pip(python: str) -> bool:
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def _install_lock(lock: str, *options: str) -> Callable[[_Run], None]:
    def make(run: _Run) -> None:
        install = [_VENV / "bin" / "uv", "pip", "install"]
        variables = {**tool_variables(), **index_of_pip()}
        run(Command(arguments=[*install, "--require-hashes", "-r", _LOCKS / lock, *options], variables=variables))
        ours = [*install, "--no-deps", "--no-build-isolation", "-e", ROOT]
        run(Command(arguments=ours, variables=variables))

    return make


def index_of_pip() -> dict[str, str]:
    """The package index and certificates that pip is set up for, which uv by itself does not look at."""
    config = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(config, capture_output=True, text=True, check=False).stdout
    settings = dict(line.split("=", 1) for line in listed.splitlines() if "=" in line)
    variables: dict[str, str] = {}
    for name, value in settings.items():
        variable = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}.get(name.rpartition(".")[2])
        if variable and variable not in os.environ:
            variables[variable] = value.strip("'\"")
    return variables


def _python_packages(name: str, title: str, lock: str, *options: str, without: str = "") -> Preparation:
    return Preparation(
        name=name,
        title=title,
        product=_VENV / "bin" / "usechat",
        made_from=lambda: fingerprint([_LOCKS / lock, _PYPROJECT], _venv_identity()),
        make=_install_lock(lock, *options),
        without=without,
    )


def _venv_identity() -> str:
    """Changes when the virtual environment is made anew: what was installed before is then gone."""
    settings = _VENV / "pyvenv.cfg"
    return str(settings.stat().st_mtime_ns) if settings.exists() else ""


VIRTUAL_ENVIRONMENT = Preparation(
    name="virtual-environment",
    title="Making a virtual environment in .venv",
    product=_VENV / "bin" / "uv",
    made_from=lambda: fingerprint([_LOCKS / "bootstrap.lock"], f"runs: {_runs(_VENV / 'bin' / 'python')}"),
    make=_make_virtual_environment,
)
BASE_PACKAGES = _python_packages("base-packages", "Installing Python packages", "base.lock")
DEV_PACKAGES = _python_packages("dev-packages", "Installing Python packages and test tools", "dev.lock")
LOCAL_MODEL = _python_packages(
    "local-model",
    "Installing a small language model (130 MB)",
    "local.lock",
    "--only-binary=:all:",
    without="the demo model answers instead",
)


# Node


def _npm(folder: Path, *arguments: str) -> Command:
    return Command(arguments=["npm", *arguments], folder=folder, variables={"NEXT_TELEMETRY_DISABLED": "1"})


def _install_npm_packages(folder: Path) -> Callable[[_Run], None]:
    def make(run: _Run) -> None:
        _demand_node()
        run(_npm(folder, "ci", "--no-audit", "--no-fund"))

    return make


def _node_version() -> str:
    node = shutil.which("node")
    return subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout if node else ""


def _demand_node() -> None:
    version = _node_version()
    if not version or int(version.lstrip("v").split(".")[0]) < 20:
        raise StepFailedError(f"Node.js 20 or newer is needed; found: {version.strip() or 'none'}.")


def _npm_packages(folder: Path) -> Preparation:
    place = folder.relative_to(ROOT)
    return Preparation(
        name=f"npm-packages-{'-'.join(place.parts)}",
        title=f"Installing npm packages in {place}",
        product=folder / "node_modules",
        made_from=lambda: fingerprint([folder / "package.json", folder / "package-lock.json"], _node_version()),
        make=_install_npm_packages(folder),
    )


def npm_packages_below(folder: Path) -> Iterator[Preparation]:
    """One preparation for each ``package-lock.json`` in a folder of tests."""
    for path in files_below(folder):
        if path.name == "package-lock.json":
            yield _npm_packages(path.parent)


WEB_PACKAGES = _npm_packages(_WEB)
PAGE = Preparation(
    name="page",
    title="Building the chat page",
    product=_WEB / "out" / "index.html",
    made_from=lambda: fingerprint(files_below(_WEB), _node_version()),
    make=lambda run: run(_npm(_WEB, "run", "build:static")),
)


# Deployment and system


def _make_deploy_python(run: _Run) -> None:
    uv = _VENV / "bin" / "uv"
    variables = {**index_of_pip(), "UV_PYTHON_INSTALL_DIR": str(ROOT / ".cache" / "python")}
    python = _newer_python() or "3.12"
    try:
        run(Command(arguments=[uv, "venv", "--clear", "--python", python, _DEPLOY_VENV], variables=variables))
    except StepFailedError as error:
        raise StepFailedError(f"{error}\nVercel's builder runs on Python 3.12 or 3.13: install one.") from error
    install = [uv, "pip", "install", "--python", _DEPLOY_VENV, "--require-hashes", "-r", _LOCKS / "bootstrap.lock"]
    run(Command(arguments=install, variables=variables))


def _newer_python() -> str | None:
    """A Python that Vercel's runtime knows, also where pyenv keeps it out of the path."""
    of_pyenv = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))
    check = "import sys; sys.exit(not (3, 12) <= sys.version_info < (3, 14))"
    for name in ("python3.12", "python3.13", "python3", *of_pyenv):
        found = shutil.which(name)
        if found and subprocess.run([found, "-c", check], capture_output=True, check=False).returncode == 0:
            return found
    return None


DEPLOY_PYTHON = Preparation(
    name="deploy-python",
    title="Making a Python 3.12 environment for the deployment",
    product=_DEPLOY_VENV / "bin" / "uv",
    made_from=lambda: fingerprint([_LOCKS / "bootstrap.lock"]),
    make=_make_deploy_python,
)


def programs(group: str) -> Iterator[Preparation]:
    """Install each program that a test group starts and this machine lacks."""
    for program in programs_for(group):
        yield Preparation(
            name=f"program-{program.executable}",
            title=f"Finding or installing {program.executable}",
            product=ROOT,
            made_from=lambda program=program: "missing" if program.is_missing() else "here",
            make=lambda run, program=program: install(program, run),
        )
