"""The checks of how a run begins, is stopped and ends."""

from __future__ import annotations

import asyncio

import pytest

from usechat.errors import RunError
from usechat.runs.log import END_STATES, EndState, Limits, RunLog
from usechat.testing.runs.logs import AT_ONCE, Logs, begin, collect, eventually, texts

__all__ = ["EndChecks"]


class EndChecks:
    """A chat has one running run, which ends once."""

    @pytest.mark.parametrize("state", [state for state in END_STATES if state != "lost"])
    async def test_end_state_is_found(self, near: RunLog, far: RunLog, state: EndState) -> None:
        writer = await begin(near)
        running = await far.find("chat")
        assert running == writer.info
        assert running is not None
        assert (running.owner, running.headers, running.meta) == ("ada", {"x-a": "1"}, {"major": 6})
        assert await writer.finish(state)
        ended = await far.find("chat")
        assert ended is not None
        assert (ended.id, ended.state, writer.info.state) == (running.id, state, state)

    async def test_run_without_frames_ends_too(self, near: RunLog, far: RunLog) -> None:
        writer = await begin(near)
        reading = asyncio.create_task(collect(far, writer.info.id))
        await writer.finish("aborted")
        assert await reading == []

    async def test_chat_has_one_running_run(self, near: RunLog, far: RunLog) -> None:
        first = await begin(near)
        with pytest.raises(RunError) as raised:
            await begin(far)
        assert raised.value.code == "exists"
        await first.finish("finished")
        second = await begin(far)
        assert second.info.token > first.info.token
        assert second.info.id != first.info.id
        assert await near.find("chat") == second.info

    async def test_one_of_many_at_once_begins_the_run(self, logs: Logs) -> None:
        begun = await asyncio.gather(*(begin(logs.make()) for _ in range(5)), return_exceptions=True)
        assert sorted(type(one).__name__ for one in begun)[-4:] == ["RunError"] * 4

    async def test_stop_reaches_the_producer_at_once(self, near: RunLog, far: RunLog) -> None:
        writer = await begin(near)
        assert not writer.is_stopped
        assert await far.stop(writer.info.id, "enough")
        await eventually(lambda: writer.is_stopped, within=AT_ONCE)
        assert writer.stop_reason == "enough"
        assert await far.stop(writer.info.id, "again")
        writer.append(b"the end")
        assert writer.stop_reason == "enough"
        await writer.finish("aborted")
        assert not await far.stop(writer.info.id)
        assert not await near.stop(writer.info.id)
        assert texts(await collect(far, writer.info.id)) == b"the end"

    async def test_stop_without_a_reason_has_none(self, near: RunLog, far: RunLog) -> None:
        writer = await begin(near)
        await far.stop(writer.info.id)
        await eventually(lambda: writer.is_stopped)
        assert writer.stop_reason is None

    async def test_nothing_is_written_after_the_end(self, near: RunLog) -> None:
        writer = await begin(near)
        await writer.finish("finished")
        with pytest.raises(RunError) as raised:
            writer.append(b"late")
        assert raised.value.code == "fenced"
        assert not await writer.finish("failed")
        assert writer.info.state == "finished"

    async def test_what_is_to_be_saved_is_saved_before_readers_see_the_end(self, near: RunLog, far: RunLog) -> None:
        order: list[str] = []
        writer = await begin(near)

        async def read(log: RunLog) -> None:
            await collect(log, writer.info.id)
            order.append("end")

        async def save() -> bool:
            assert await far.frames(writer.info.id) == b"all"
            order.append("saved")
            return True

        reading = [asyncio.create_task(read(log)) for log in (near, far)]
        writer.append(b"all")
        await writer.finish("finished", save)
        await asyncio.gather(*reading)
        assert order == ["saved", "end", "end"]

    @pytest.mark.parametrize(
        "limits",
        [Limits(max_entries=3, slack_entries=2), Limits(max_bytes=3, slack_bytes=2)],
        ids=["entries", "bytes"],
    )
    async def test_full_log_asks_to_stop_and_takes_the_end(self, logs: Logs, limits: Limits) -> None:
        logs.limits = limits
        writer = await begin(logs.make())
        for _ in range(3):
            writer.append(b"-")
        assert not writer.is_stopped
        writer.append(b"+")
        assert writer.is_stopped
        assert writer.stop_reason == "full"
        writer.append(b"e")
        with pytest.raises(RunError) as raised:
            writer.append(b"!")
        assert raised.value.code == "full"
        await writer.finish("aborted")
        assert texts(await collect(logs.make(), writer.info.id)) == b"---+e"

    async def test_living_run_is_not_taken_for_lost(self, near: RunLog, far: RunLog) -> None:
        writer = await begin(near)
        assert list(await far.take_lost()) == []
        assert writer.info.state == "running"
