"""The programs that tests start and that neither PyPI nor npm has, and how a Debian machine gets them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.progress import Command, StepFailedError

__all__ = ["SystemProgram", "install", "programs_for"]


@dataclass(frozen=True, kw_only=True)
class SystemProgram:
    """A program, the test groups that start it, and the Debian packages that bring it."""

    executable: str
    groups: frozenset[str]
    debian_packages: tuple[str, ...]

    def is_missing(self) -> bool:
        """Whether it is neither on the path nor where Debian keeps what only root or other programs start."""
        folders = [
            os.environ.get("PATH", ""),
            "/usr/sbin",
            "/sbin",
            *map(str, Path("/usr/lib").glob("postgresql/*/bin")),
        ]
        return shutil.which(self.executable, path=os.pathsep.join(folders)) is None


_WITH_STORES = frozenset({"chaos", "clients", "deploy-test", "integration"})

_PROGRAMS = (
    # Without a font of its own a fresh Chromium paints boxes: the page's screenshots need one.
    SystemProgram(
        executable="chromium-headless-shell",
        groups=frozenset({"e2e"}),
        debian_packages=("chromium-headless-shell", "fonts-liberation", "fonts-noto-color-emoji"),
    ),
    SystemProgram(executable="nginx", groups=frozenset({"chaos", "e2e"}), debian_packages=("nginx-light",)),
    SystemProgram(executable="postgres", groups=_WITH_STORES, debian_packages=("postgresql",)),
    SystemProgram(executable="redis-server", groups=_WITH_STORES, debian_packages=("redis-server",)),
)


def programs_for(group: str) -> list[SystemProgram]:
    """What a test group starts."""
    return [program for program in _PROGRAMS if group in program.groups]


def install(program: SystemProgram, run: Callable[[Command], None]) -> None:
    """Install a program's Debian packages, if it is missing.

    Raises:
        StepFailedError: This is not Debian, or not root; or apt-get failed.
    """
    if not program.is_missing():
        return
    packages = program.debian_packages
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise StepFailedError(f"{program.executable} is missing. On Debian: sudo apt-get install {' '.join(packages)}")
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        run(Command(arguments=["apt-get", *arguments], variables={"DEBIAN_FRONTEND": "noninteractive"}))
