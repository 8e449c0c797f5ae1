"""Feed the targets what atheris makes up, for some seconds: ``python -m tests.fuzz --seconds 600``.

What breaks a target is kept in .cache/fuzz/found; a file of it that is put into tests/fuzz/cases is tested for ever.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

# It is in no environment but this program's, and has no types.
atheris: Any = importlib.import_module("atheris")

# What is imported before is not watched.
with atheris.instrument_imports(include=["usechat", "tests.fuzz.targets"]):
    from tests.fuzz import seeds, targets

OUT = Path(__file__).parents[2] / ".cache" / "fuzz"
CASES = Path(__file__).parent / "cases"
MOST_BYTES = 4096
CASE_SECONDS = 10


def main() -> None:
    """Fuzz for as long as the command line says. The exit status is 0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long; 60 by default")
    seconds: int = parser.parse_args().seconds
    corpus, found = OUT / "corpus", OUT / "found"
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    seeds.write(corpus)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MOST_BYTES}",
        f"-timeout={CASE_SECONDS}",
        f"-artifact_prefix={found}/",
        "-print_final_stats=1",
    ]
    kept = [str(CASES)] if CASES.is_dir() else []
    atheris.Setup([sys.argv[0], *options, str(corpus), *kept], targets.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
