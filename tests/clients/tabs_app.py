"""The server with the demo, quick, whose tool with an effect notes each of its runs in a file."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from usechat import ToolContext
from usechat.demo import model, tools
from usechat.server.app import create_app

RUNS = Path(os.environ["TESTS_TOOL_RUNS"])


def send_email(to: str, subject: str, body: str, context: ToolContext) -> dict[str, str]:
    """Send an e-mail."""
    # All processes write to its end.
    with RUNS.open("a") as noted:
        noted.write(f"{context.tool_call_id}\n")
    return {"status": "sent", "to": to, "subject": subject, "note": body}


tools.send_email = send_email
model.demo = partial(model.demo, pace=0.004)
app = create_app()
