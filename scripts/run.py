"""`make run`: sets up, builds the chat page and serves it.

No key and no account is needed: without `ANTHROPIC_API_KEY` a small model on this machine answers.
"""

from __future__ import annotations

import os
import sys

from scripts.preparations import (
    BASE_PACKAGES,
    LOCAL_MODEL,
    PAGE,
    VIRTUAL_ENVIRONMENT,
    WEB_PACKAGES,
    carry_out,
    tool_variables,
)
from scripts.progress import ROOT, Progress, StepFailedError
from scripts.stamps import one_at_a_time

_STEPS = (VIRTUAL_ENVIRONMENT, BASE_PACKAGES, LOCAL_MODEL, WEB_PACKAGES, PAGE)


def main() -> None:
    """Set up, then become the server. Arguments are those of ``usechat serve``."""
    progress = Progress(len(_STEPS) + 1)
    try:
        with one_at_a_time():
            for step in _STEPS:
                carry_out(step, progress)
    except (StepFailedError, KeyboardInterrupt) as error:
        sys.exit(f"\n{error or 'Stopped.'}")
    progress.start("Serving; Ctrl-C stops")
    progress.end("")
    os.chdir(ROOT)
    usechat = ROOT / ".venv" / "bin" / "usechat"
    os.execve(usechat, [str(usechat), "serve", *sys.argv[1:]], {**os.environ, **tool_variables()})


if __name__ == "__main__":
    main()
