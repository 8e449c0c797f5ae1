"""The checks of readers of a run: here and in another process, from any cursor, at any speed."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest

from usechat.errors import RunError
from usechat.runs.log import Entry, RunLog
from usechat.testing.runs.logs import PATIENCE, Logs, begin, collect, eventually, texts

__all__ = ["ReadChecks"]


class ReadChecks:
    """Each reader gets every frame once, in order."""

    async def test_run_is_read_whole_here_and_elsewhere(self, near: RunLog, far: RunLog) -> None:
        writer = await begin(near)
        for number in range(5):
            writer.append(b"%d," % number)
        assert await writer.finish("finished")
        for log in (near, far):
            entries = await collect(log, writer.info.id)
            assert texts(entries) == b"0,1,2,3,4,"
            assert entries[-1].cursor == 5

    async def test_run_is_read_while_it_is_made(self, near: RunLog, far: RunLog) -> None:
        writer = await begin(near)
        async with aclosing(near.read(writer.info.id)) as here, aclosing(far.read(writer.info.id)) as there:
            for cursor in (1, 2, 3):
                writer.append(b"a")
                assert await anext(here) == await anext(there) == Entry(cursor, b"a")
        await writer.finish("finished")

    @pytest.mark.parametrize("after", range(7))
    async def test_reader_goes_on_after_its_cursor(self, near: RunLog, far: RunLog, after: int) -> None:
        writer = await begin(near)
        for letter in b"abcde":
            writer.append(bytes([letter]))
        await writer.finish("finished")
        assert texts(await collect(far, writer.info.id, after)) == b"abcde"[after:]

    async def test_run_is_found_by_its_id(self, near: RunLog, far: RunLog) -> None:
        first = await begin(near)
        assert await far.get(first.info.id) == first.info
        first.append(b"x")
        await first.finish("finished")
        second = await begin(near)
        for run in (first, second):
            assert await far.get(run.info.id) == run.info
        assert await far.get("another") is None

    async def test_chat_without_a_run_has_none(self, far: RunLog) -> None:
        assert await far.find("chat") is None

    async def test_run_that_is_not_there_is_missing(self, far: RunLog) -> None:
        with pytest.raises(RunError) as raised:
            await collect(far, "run-none")
        assert raised.value.code == "missing"
        assert await far.frames("run-none") == b""
        assert not await far.stop("run-none")

    async def test_fifty_readers_at_any_cursor_and_speed_get_the_same(self, near: RunLog, far: RunLog) -> None:
        chance = random.Random(4)
        pieces = [b"%d;" % number * chance.randint(1, 40) for number in range(400)]
        writer = await begin(near)
        over = asyncio.Event()

        async def read(log: RunLog, after: int, pace: int) -> bytes:
            got: list[bytes] = []
            position = after
            async with aclosing(log.read(writer.info.id, after)) as entries:
                async for entry in entries:
                    assert entry.cursor > position
                    position = entry.cursor
                    got.append(entry.data)
                    for _ in range(pace):
                        await asyncio.sleep(0)
                    if pace == 9:
                        await over.wait()
            assert position in {len(pieces), after}
            return b"".join(pieces[:after]) + b"".join(got)

        readers: list[asyncio.Task[bytes]] = []
        for number, piece in enumerate(pieces):
            if number % 8 == 0:
                after, pace = chance.randint(0, number), chance.choice([0, 1, 5, 9])
                readers.append(asyncio.create_task(read(chance.choice([near, far]), after, pace)))
            writer.append(piece)
            await asyncio.sleep(0)
        await writer.finish("finished")
        over.set()
        assert len(readers) == 50
        assert {*(await asyncio.gather(*readers))} == {b"".join(pieces)}

    async def test_slow_reader_holds_up_nobody(self, near: RunLog, far: RunLog) -> None:
        writer = await begin(near)
        async with aclosing(near.read(writer.info.id)) as here, aclosing(far.read(writer.info.id)) as there:
            writer.append(b"x")
            await anext(here)
            await anext(there)
            # Both stand still from here on.
            quick = [asyncio.create_task(collect(log, writer.info.id)) for log in (near, far)]
            for _ in range(1000):
                writer.append(b"x" * 1000)
            async with asyncio.timeout(PATIENCE):
                assert await writer.finish("finished")
                assert [len(texts(entries)) for entries in await asyncio.gather(*quick)] == [1_000_001] * 2
            assert len(texts([entry async for entry in there])) == 1_000_000

    async def test_readers_that_leave_leave_nothing(self, near: RunLog, far: RunLog) -> None:
        writer = await begin(near)
        async with aclosing(far.read(writer.info.id)) as entries:
            writer.append(b"x")
            await anext(entries)
        tasks = asyncio.all_tasks()
        chance = random.Random(5)
        readers = [asyncio.create_task(collect(chance.choice([near, far]), writer.info.id)) for _ in range(40)]
        for number in range(40):
            writer.append(b"%d" % number)
            await asyncio.sleep(0)
            chance.choice(readers).cancel()
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        # The last connections go back to their pool.
        await eventually(lambda: asyncio.all_tasks() == tasks)
        await writer.finish("finished")

    async def test_readers_are_told_that_the_log_goes_away(self, logs: Logs) -> None:
        log = logs.make()
        writer = await begin(log)
        reading = asyncio.create_task(collect(logs.make(), writer.info.id))
        writer.append(b"x")
        await asyncio.sleep(0)
        for one in logs.made:
            await one.aclose()
        with pytest.raises(RunError) as raised:
            await reading
        assert raised.value.code == "unavailable"
        assert writer.is_stopped
        with pytest.raises(RunError, match="ended"):
            writer.append(b"late")
