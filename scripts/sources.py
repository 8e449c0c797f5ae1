"""The files of the checkout, as git would commit them, and a digest by which to know them again."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path

from scripts.progress import ROOT

__all__ = ["checkout_files", "fingerprint"]


def checkout_files(*folders: str) -> list[Path]:
    """Return what would be committed, in these folders or everywhere, relative to the checkout."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted({Path(name) for name in names if name and (ROOT / name).is_file()})


def fingerprint(files: Iterable[Path]) -> str:
    """Return a digest of files' names and contents."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path}\0".encode())
        digest.update(hashlib.sha256((ROOT / path).read_bytes()).digest())
    return digest.hexdigest()
