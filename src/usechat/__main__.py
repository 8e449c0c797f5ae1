"""``python -m usechat``."""

from __future__ import annotations

from usechat.cli import main

main()
