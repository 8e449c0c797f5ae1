"""The AI SDK's real clients, as one Node process that answers request after request."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

FOLDER = Path(__file__).parent / "js"


class JavaScript:
    """Runs ``messages.mjs``; leave it as a context manager does."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["node", str(FOLDER / "messages.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=FOLDER
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        # It ends by itself when there is nothing more to read.
        self.process.communicate(timeout=10)

    def ask(self, request: Mapping[str, Any]) -> Any:
        """The answer to one request."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "node ended; what it wrote to stderr says why"
        return json.loads(line)

    def chat(self, major: int, body: bytes, message: Mapping[str, Any] | None = None) -> tuple[Any, str | None]:
        """The message that ``useChat`` holds after a response body, and its error."""
        return self.show("chat", major, body, message)

    def read(self, major: int, body: bytes, message: Mapping[str, Any] | None = None) -> tuple[Any, str | None]:
        """The message that ``readUIMessageStream`` builds, errors passed over, and those errors."""
        return self.show("read", major, body, message)

    def show(self, op: str, major: int, body: bytes, message: Mapping[str, Any] | None) -> tuple[Any, str | None]:
        request: dict[str, Any] = {"op": op, "major": major, "body": base64.b64encode(body).decode()}
        if message is not None:
            request["message"] = message
        answer = self.ask(request)
        return answer["message"], answer["error"]

    def parse_partial_json(self, text: str) -> tuple[bool, Any]:
        """Whether a partial JSON text has a value, and that value."""
        answer = self.ask({"op": "partial", "text": text})
        return answer["found"], answer["value"]
