"""Run a check unless it has passed for the very same files: ``python -m scripts.unchanged NAME FILES… -- COMMAND…``.

For checks whose outcome is decided by files and installed packages alone. What has passed is kept in ``.cache/passed``
as a digest of all of them; ``--anew`` runs the check all the same.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from scripts.progress import ROOT
from scripts.sources import checkout_files, fingerprint

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; return the exit code of the check."""
    parser = argparse.ArgumentParser(prog="python -m scripts.unchanged", description=__doc__)
    parser.add_argument("--anew", action="store_true", help="run it whatever has passed")
    parser.add_argument("--installed", action="append", default=[], help="packages that decide: a pattern of paths")
    parser.add_argument("name")
    parser.add_argument("files", nargs="+", help="files that decide, as git knows them")
    split = arguments.index("--") if "--" in arguments else len(arguments)
    options, command = parser.parse_args(arguments[:split]), arguments[split + 1 :]
    passed = ROOT / ".cache" / "passed" / options.name
    before = _digest(options.files, options.installed, command)
    if before is not None and not options.anew and passed.exists() and passed.read_text() == before:
        print(f"{options.name}: nothing has changed since it passed")
        return 0
    passed.unlink(missing_ok=True)
    code = subprocess.run(command, check=False).returncode
    # What was changed meanwhile may not have been seen.
    if code == 0 and before is not None and _digest(options.files, options.installed, command) == before:
        passed.parent.mkdir(parents=True, exist_ok=True)
        passed.write_text(before)
    return code


def _digest(files: Sequence[str], installed: Sequence[str], command: Sequence[str]) -> str | None:
    """Return what the outcome depends on; None where git does not say which files there are."""
    try:
        named = checkout_files(*files)
    except (OSError, subprocess.CalledProcessError):
        return None
    found = sorted(path.relative_to(ROOT) for pattern in installed for path in ROOT.glob(pattern))
    contents = fingerprint([*named, *(path for path in found if (ROOT / path).is_file())])
    # A package's folder has its version in its name.
    return "\n".join([contents, *map(str, found), *command])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
