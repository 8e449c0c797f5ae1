"""A node program that answers requests: one JSON object a line, on its stdin and stdout.

The other side is ``tests/conformance/js/lib/lines.mjs``. A program serves a whole session, because starting one and
loading its packages takes longer than most of what it is asked. It ends with its stdin, so with this process.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

__all__ = ["NodeError", "NodeProgram"]

_START_SECONDS = 60.0
_ANSWER_SECONDS = 45.0
_END_SECONDS = 20.0


class NodeError(Exception):
    """The program failed at a request, or is gone."""


class NodeProgram:
    """A running program.

    Args:
        script: What node runs.
        arguments: Its command line.
        log: Where its stderr goes.
    """

    def __init__(self, script: Path, *arguments: str, log: Path) -> None:
        self._log = log
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                ["node", "--no-warnings", script.name, *arguments],
                cwd=script.parent,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        self._ids = itertools.count(1)
        self._writing = threading.Lock()
        self._waiting: dict[int, Future[Any]] = {}
        self._ready: Future[None] = Future()
        threading.Thread(target=self._read, name=f"node {script.name}", daemon=True).start()

    def start(self, command: str, **fields: Any) -> Future[Any]:
        """Send a request; the future gets its answer.

        Raises:
            NodeError: The program has not started, or has ended.
        """
        try:
            self._ready.result(_START_SECONDS)
        except TimeoutError:
            raise NodeError(f"node did not start: {self._end_of_log()}") from None
        number = next(self._ids)
        answer: Future[Any] = Future()
        self._waiting[number] = answer
        line = json.dumps({"id": number, "command": command, **fields}) + "\n"
        assert self._process.stdin is not None
        with self._writing:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        return answer

    def ask(self, command: str, **fields: Any) -> Any:
        """Send a request and wait for its answer.

        Raises:
            NodeError: The program could not do it, or has ended.
        """
        return self.start(command, **fields).result(_ANSWER_SECONDS)

    def close(self) -> None:
        """End the program."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer: dict[str, Any] = json.loads(line)
            if answer.get("ready"):
                self._ready.set_result(None)
            elif "failure" in answer:
                self._waiting.pop(answer["id"]).set_exception(NodeError(answer["failure"]))
            else:
                self._waiting.pop(answer["id"]).set_result(answer["result"])
        gone = NodeError(f"node has ended: {self._end_of_log()}")
        for future in [self._ready, *self._waiting.values()]:
            if not future.done():
                future.set_exception(gone)

    def _end_of_log(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]
