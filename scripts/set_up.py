"""`make set-up`: the Python packages and test tools in .venv; what the small verbs of the Makefile stand on."""

from __future__ import annotations

import sys

from scripts.preparations import DEV_PACKAGES, VIRTUAL_ENVIRONMENT, carry_out_due
from scripts.stamps import one_at_a_time

if __name__ == "__main__":
    with one_at_a_time():
        sys.exit(1 if carry_out_due([VIRTUAL_ENVIRONMENT, DEV_PACKAGES]) else 0)
