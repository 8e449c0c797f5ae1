"""Remembers what has been set up already, by the content it was made from, so that a second run is fast."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.progress import ROOT

__all__ = ["files_below", "fingerprint", "forget", "is_current", "mark_current", "one_at_a_time"]

_CACHE = ROOT / ".cache"
_GENERATED = {"node_modules", ".next", ".next-start", "out", "__pycache__", "next-env.d.ts"}


def fingerprint(files: Iterable[Path], *facts: str) -> str:
    """A digest of the files' names and contents and of further facts, such as a version."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    digest.update("\0".join(facts).encode())
    return digest.hexdigest()


def files_below(folder: Path) -> Iterator[Path]:
    """Every source file in a folder, in a stable order, without what tools have put there."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - _GENERATED)
        for name in sorted(set(files) - _GENERATED):
            if not name.endswith(".tsbuildinfo"):
                yield Path(parent, name)


def is_current(name: str, current: str, product: Path) -> bool:
    """Whether ``product`` is there and was made from what has this fingerprint."""
    stamp = _CACHE / "stamps" / name
    return product.exists() and stamp.is_file() and stamp.read_text() == current


def mark_current(name: str, current: str) -> None:
    """Note that a product was made from what has this fingerprint."""
    stamp = _CACHE / "stamps" / name
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(current)


def forget(name: str) -> None:
    """Take back what `mark_current` has noted."""
    (_CACHE / "stamps" / name).unlink(missing_ok=True)


@contextmanager
def one_at_a_time() -> Generator[None]:
    """Keep a second ``make`` in the same checkout waiting while the first one installs."""
    _CACHE.mkdir(exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
