"""A process that makes a run on Redis, as told on its stdin; started, paused and killed by tests.

``append TEXT`` adds a frame, ``finish`` ends the run, ``show`` tells what readers there have; each answers with a line:
``ok``, ``True``, an error's code or the frames.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys

import msgspec

from usechat.errors import RunError
from usechat.runs.log import Limits, RunWriter
from usechat.runs.redis.log import RedisLog

__all__ = ["RunProducer"]


class RunProducer:
    """Such a process, with a run of its own.

    Args:
        url: The Redis.
        prefix: Of the log's keys.
        chat_id: The run's chat.
        limits: Of the log.
    """

    def __init__(self, url: str, prefix: str, chat_id: str, limits: Limits) -> None:
        encoded = msgspec.json.encode(limits).decode()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.run_producer", url, prefix, chat_id, encoded],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.run_id = self.answer()

    def answer(self) -> str:
        """The answer to what it was told."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self, line: str) -> None:
        """Have something done, without waiting for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def ask(self, line: str) -> str:
        """Have something done, and wait for the answer."""
        self.tell(line)
        return self.answer()

    def close(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


async def make_run(url: str, prefix: str, chat_id: str, limits: Limits) -> None:
    log = RedisLog(url, limits, prefix=prefix)
    writer = await log.open(chat_id, headers={}, meta={"made": "elsewhere"})
    say(writer.info.id)
    while line := await asyncio.to_thread(sys.stdin.readline):
        say(await obey(log, writer, *line.strip().split(" ", 1)))
    await log.aclose()


async def obey(log: RedisLog, writer: RunWriter, command: str, text: str = "") -> object:
    try:
        if command == "show":
            return (await log.frames(writer.info.id)).decode()
        if command == "finish":
            return await writer.finish("finished")
        writer.append(text.encode())
    except RunError as error:
        return error.code
    return "ok"


def say(answer: object) -> None:
    sys.stdout.write(f"{answer}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(make_run(sys.argv[1], sys.argv[2], sys.argv[3], msgspec.json.decode(sys.argv[4], type=Limits)))
