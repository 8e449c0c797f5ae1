"""The run log against a model: producers, readers from any cursor, stops, deaths, burials, lost keys, and time.

The same machine drives the log in memory and the one in Redis, where several processes share the runs, with frames that
are shown at once and with strict ones. What readers were shown is checked by `tests.support.histories`, which knows no
log at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.support.histories import History, Reading
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE, eventually
from usechat.errors import RunError
from usechat.ids import generate_id
from usechat.runs.log import EndState, Limits, RunInfo, RunLog, RunWriter
from usechat.runs.memory.log import MemoryLog
from usechat.runs.redis.log import RedisLog

pytestmark = pytest.mark.timeout(600)

ResultT = TypeVar("ResultT")

PROCESSES = st.integers(0, 2)
CHATS = st.sampled_from("ab")
PICK = st.integers(0, 10**6)
LEASE = 0.6


@dataclass
class Run:
    """What the model knows of a run."""

    info: RunInfo
    process: int
    """The one that makes it."""
    writer: RunWriter
    state: str = "running"
    """``dead`` once its process has died, until somebody has ended it."""
    is_stopped: bool = False


class LogMachine(RuleBasedStateMachine):
    """Three processes with two chats."""

    server: ClassVar[RedisServer | None] = None
    is_strict: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.prefix = f"test-{generate_id()}:"
        self.limits = Limits(lease=LEASE, silence=LEASE)
        self.history = History()
        self.runs: list[Run] = []
        self.readers: list[tuple[Reading, int, asyncio.Task[None]]] = []
        self.logs = self.runner.run(self.make_logs())

    async def make_logs(self) -> list[RunLog]:
        return [self.make_log() for _ in range(3)] if self.server is not None else [MemoryLog(self.limits)] * 3

    def make_log(self) -> RunLog:
        if self.server is None:
            return MemoryLog(self.limits)
        return RedisLog(self.server.url, self.limits, prefix=self.prefix, is_strict=self.is_strict)

    def do(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run some work, and give tasks that are due their turn."""

        async def bounded() -> ResultT:
            async with asyncio.timeout(PATIENCE):
                result = await work
            await asyncio.sleep(0)
            return result

        return self.runner.run(bounded())

    def pick(self, number: int, *states: str) -> Run:
        found = [run for run in self.runs if run.state in states]
        return found[number % len(found)]

    def has(self, *states: str) -> bool:
        return any(run.state in states for run in self.runs)

    # -- producers ----------------------------------------------------------------------------------------------

    @rule(process=PROCESSES, chat=CHATS)
    def begin_run(self, process: int, chat: str) -> None:
        """A chat has one running run, whoever makes it."""
        is_held = any(run.info.chat_id == chat and run.state in ("running", "dead") for run in self.runs)

        async def begin() -> RunWriter | None:
            try:
                return await self.logs[process].open(chat, owner="", headers={}, meta={})
            except RunError as error:
                if error.code != "exists":
                    raise
                return None

        writer = self.do(begin())
        assert (writer is None) == is_held
        if writer is not None:
            self.history.begin(writer.info.id)
            self.runs.append(Run(writer.info, process, writer))

    @precondition(lambda self: self.has("running"))
    @rule(number=PICK, count=st.integers(1, 4))
    def append(self, number: int, count: int) -> None:
        run = self.pick(number, "running")

        async def append() -> None:
            for _ in range(count):
                data = b"%d;" % len(self.history.asked[run.info.id])
                run.writer.append(data)
                self.history.append(run.info.id, data)

        self.do(append())

    @precondition(lambda self: self.has("running"))
    @rule(number=PICK, state=st.sampled_from(["finished", "aborted", "failed"]))
    def finish(self, number: int, state: EndState) -> None:
        run = self.pick(number, "running")
        assert self.do(run.writer.finish(state))
        assert not self.do(run.writer.finish("finished"))
        run.state = state

    @precondition(lambda self: bool(self.runs))
    @rule(number=PICK, process=PROCESSES)
    def stop(self, number: int, process: int) -> None:
        """A running run hears of it, from any process, once."""
        run = self.runs[number % len(self.runs)]

        async def stop() -> bool:
            was_running = await self.logs[process].stop(run.info.id, "enough")
            if run.state == "running":
                await eventually(lambda: run.writer.is_stopped)
                assert run.writer.stop_reason == "enough"
            return was_running

        is_open = run.state == "running" or (run.state == "dead" and self.server is not None)
        assert self.do(stop()) == is_open

    # -- readers ------------------------------------------------------------------------------------------------

    @precondition(lambda self: bool(self.runs))
    @rule(number=PICK, process=PROCESSES, after=PICK)
    def read(self, number: int, process: int, after: int) -> None:
        run = self.runs[number % len(self.runs)]
        if run.state != "gone":
            self.do(self.begin_reading(run, process, after % (len(self.history.asked[run.info.id]) + 1)))

    async def begin_reading(self, run: Run, process: int, after: int) -> None:
        reading = self.history.read(run.info.id, after)

        async def read() -> None:
            try:
                async for entry in self.logs[process].read(run.info.id, after):
                    reading.shown.append(entry)
            except RunError as error:
                if error.code != "unavailable":
                    raise
                reading.outcome = "cut"
            except asyncio.CancelledError:
                reading.outcome = "left"
                raise
            else:
                reading.outcome = "over"

        self.readers.append((reading, process, asyncio.create_task(read())))

    @precondition(lambda self: bool(self.readers))
    @rule(number=PICK)
    def leave(self, number: int) -> None:
        _, _, task = self.readers.pop(number % len(self.readers))

        async def leave() -> None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        self.do(leave())

    @precondition(lambda self: self.has("running"))
    @rule(number=PICK, process=PROCESSES)
    def catch_up(self, number: int, process: int) -> None:
        """A reader of a run that goes on gets all of it, wherever it reads."""
        run = self.pick(number, "running")

        async def catch_up() -> None:
            await self.begin_reading(run, process, 0)
            reading, _, _ = self.readers[-1]
            await eventually(lambda: reading.place == len(self.history.asked[run.info.id]))

        self.do(catch_up())

    # -- faults -------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.has("running"))
    @rule(process=PROCESSES)
    def die(self, process: int) -> None:
        """A process ends without a word: its runs have nobody, and its readers are cut."""

        async def die() -> None:
            await self.logs[process].aclose()
            cut = [task for _, at, task in self.readers if at == process or self.server is None]
            await asyncio.gather(*cut, return_exceptions=True)
            # A reader that was just connecting has opened one more connection.
            await self.logs[process].aclose()

        self.do(die())
        self.readers = [one for one in self.readers if not one[2].done()]
        if self.server is None:
            self.logs = self.runner.run(self.make_logs())
            for run in self.runs:
                run.state = "gone"
            return
        self.logs[process] = self.do(self.make_again())
        for run in self.runs:
            if run.process == process and run.state == "running":
                run.state = "dead"

    async def make_again(self) -> RunLog:
        return self.make_log()

    @precondition(lambda self: self.server is not None and self.has("dead"))
    @rule(process=PROCESSES)
    def bury(self, process: int) -> None:
        """After a lease any process takes the runs of the dead, and no others; each once."""
        dead = {run.info.id: run for run in self.runs if run.state == "dead"}
        left = set(dead)

        async def bury() -> None:
            log, other = self.logs[process], self.logs[(process + 1) % 3]

            async def look() -> bool:
                for info in await log.take_lost():
                    assert info.id in left, "the run of a living process, or one that was taken before"
                    left.discard(info.id)
                    assert await log.end_lost(info, b"the end")
                    assert not await other.end_lost(info, b"another end")
                return not left

            await eventually(look)

        self.do(bury())
        for run in dead.values():
            run.state = "lost"

    @precondition(lambda self: self.server is not None and self.has("running"))
    @rule(number=PICK, kinds=st.sets(st.sampled_from(["run", "log", "chat", "leases"]), min_size=1))
    def drop_keys(self, number: int, kinds: set[str]) -> None:
        """Redis forgets keys of a run that goes on; its producer writes it anew."""
        run, server = self.pick(number, "running"), self.server
        assert server is not None
        names = {"run": run.info.id, "log": run.info.id, "chat": run.info.chat_id}
        keys = [f"{self.prefix}{kind}" + (f":{names[kind]}" if kind in names else "") for kind in sorted(kinds)]
        if "leases" in kinds and any(other.state == "dead" for other in self.runs):
            # Nobody would look for them any more; their turns are found by the database.
            return

        async def drop() -> None:
            server.ask("DEL", *keys)
            others = [one for one in self.runs if one.state == "running"]
            for one in others:
                one.writer.append(b"%d;" % len(self.history.asked[one.info.id]))
                self.history.append(one.info.id, b"%d;" % len(self.history.asked[one.info.id]))

            async def is_whole() -> bool:
                whole = b"".join(self.history.asked[run.info.id])
                elsewhere = self.logs[(run.process + 1) % 3]
                newest = await elsewhere.find(run.info.chat_id)
                is_known = newest is not None and newest.id == run.info.id
                has_lease = await elsewhere.seconds_silent(run.info.id) is not None
                return is_known and has_lease and await elsewhere.frames(run.info.id) == whole

            await eventually(is_whole)

        self.do(drop())

    # -- the end ------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Everything ends; readers from any cursor read it again; then what all of them saw is checked."""
        try:
            for run in self.runs:
                if run.state == "running":
                    assert self.do(run.writer.finish("finished"))
                    run.state = "finished"
            if self.has("dead"):
                self.bury(0)
            self.do(self.read_again())
            self.history.check(is_strict=self.is_strict or self.server is None)
        finally:
            self.runner.run(self.close())
            self.runner.close()

    async def read_again(self) -> None:
        for run in self.runs:
            if run.state == "gone":
                continue
            count = len(self.history.asked[run.info.id])
            for process in (0, 2):
                for after in {0, count // 2, count}:
                    await self.begin_reading(run, process, after)
        await asyncio.gather(*(task for _, _, task in self.readers))
        # All that was written and was not taken along by a dead process is there.
        for run in self.runs:
            if run.state in ("finished", "aborted", "failed"):
                count = len(self.history.asked[run.info.id])
                ends = {one.place for one, _, _ in self.readers if one.run_id == run.info.id and one.outcome == "over"}
                assert ends == {count}

    async def close(self) -> None:
        for _, _, task in self.readers:
            task.cancel()
        await asyncio.gather(*(task for _, _, task in self.readers), return_exceptions=True)
        for log in self.logs:
            await log.aclose()
        # Sockets that were closed are gone with the loop's next turns.
        for _ in range(5):
            await asyncio.sleep(0)


def run_machine(machine: type[LogMachine], examples: int) -> None:
    case: Any = machine.TestCase
    case.settings = settings(
        # The thorough profile draws as many more here as elsewhere.
        max_examples=examples * settings().max_examples // 30,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
    case("runTest").runTest()


def test_log_in_memory_does_what_the_model_says():
    run_machine(type("InMemory", (LogMachine,), {}), 100)


@pytest.mark.parametrize("is_strict", [False, True], ids=["soon", "strict"])
def test_log_in_redis_does_what_the_model_says(redis_server: RedisServer, is_strict: bool):
    run_machine(type("InRedis", (LogMachine,), {"server": redis_server, "is_strict": is_strict}), 4)
