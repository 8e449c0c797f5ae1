"""The checks of what a log keeps and forgets, and whom it remembers."""

from __future__ import annotations

import pytest

from usechat.errors import RunError
from usechat.runs.log import Limits, RunLog
from usechat.testing.runs.logs import Logs, begin, collect, eventually, texts

__all__ = ["KeepChecks"]


class KeepChecks:
    """A log is bounded, and remembers who resumes."""

    async def test_run_is_forgotten_after_its_time(self, logs: Logs) -> None:
        # Another process must find it within that time, on a busy machine too.
        logs.limits = Limits(keep=1.0)
        log = logs.make()
        writer = await begin(log)
        await writer.finish("finished")
        assert await logs.make().find("chat") is not None

        async def is_forgotten() -> bool:
            return await log.find("chat") is None

        await eventually(is_forgotten)
        with pytest.raises(RunError) as raised:
            await collect(logs.make(), writer.info.id)
        assert raised.value.code == "missing"

    async def test_ended_runs_are_kept_up_to_a_number_and_running_ones_always(self, logs: Logs) -> None:
        logs.limits = Limits(max_ended=2)
        log = logs.make()
        running = await begin(log, "running")
        running.append(b"r")

        await end_runs(log, a=1, b=1, c=1)

        assert await kept_chats(logs.make(), "abc") == "bc"
        assert await running.finish("finished")
        assert texts(await collect(logs.make(), running.info.id)) == b"r"

    async def test_ended_runs_are_kept_up_to_a_number_of_bytes_and_the_last_one_always(self, logs: Logs) -> None:
        logs.limits = Limits(max_ended_bytes=10)
        log, other = logs.make(), logs.make()

        await end_runs(log, a=4, b=4, c=4)
        assert await kept_chats(other, "abc") == "bc"
        await end_runs(log, d=100)
        assert await kept_chats(other, "abcd") == "d"
        await end_runs(log, e=4, f=4)
        assert await kept_chats(other, "def") == "ef"

    async def test_chat_whose_stream_was_asked_for_is_remembered(self, near: RunLog, far: RunLog) -> None:
        assert not await near.was_asked("chat")
        await far.note_resume("chat")
        assert await near.was_asked("chat")
        assert not await near.was_asked("another")

    async def test_chat_that_was_asked_for_is_remembered_for_some_seconds(self, near: RunLog, far: RunLog) -> None:
        await far.note_asked("chat", 60.0)
        await far.note_asked("another", 0.0)
        assert await near.was_asked("chat")
        assert not await near.was_asked("a third")

        async def is_forgotten() -> bool:
            return not await near.was_asked("another")

        await eventually(is_forgotten)

    async def test_chat_that_was_asked_for_in_passing_stays_one_whose_client_resumes(
        self, near: RunLog, far: RunLog
    ) -> None:
        await near.note_resume("chat")
        await far.note_asked("chat", 0.0)
        await eventually(lambda: near.was_asked("chat"))

    async def test_runs_that_are_made_are_known_everywhere(self, near: RunLog, far: RunLog) -> None:
        ended, running = await begin(near, "ended"), await begin(near, "running")
        assert await ended.finish("finished")
        for log in (near, far):
            assert set(await log.living()) == {running.info.id}

    async def test_run_that_was_left_is_stopped_from_anywhere(self, near: RunLog, far: RunLog) -> None:
        writer = await begin(near)
        assert not await far.stop_left(writer.info, "disconnected")
        await near.note_left(writer.info.id)
        await far.note_asked("chat", 60.0)
        assert await far.stop_left(writer.info, "disconnected")
        await eventually(lambda: writer.is_stopped)
        assert writer.stop_reason == "disconnected"
        await writer.finish("aborted")
        assert not await far.stop_left(writer.info)

    async def test_run_that_was_left_is_not_stopped_once_its_stream_is_asked_for(
        self, near: RunLog, far: RunLog
    ) -> None:
        writer = await begin(near)
        await near.note_left(writer.info.id)
        await near.note_left("run-another")
        await far.note_resume("chat")
        assert not await far.stop_left(writer.info)
        assert await far.get("run-another") is None
        assert not writer.is_stopped
        await writer.finish("finished")

    async def test_places_in_a_line_are_counted_in_their_order(self, near: RunLog, far: RunLog) -> None:
        assert [await near.line.stand("chat", "a"), await far.line.stand("chat", "b")] == [0, 1]
        assert await near.line.stand("another", "c") == 0
        assert await near.line.stand("chat", "b") == 1
        await far.line.leave("chat", "a")
        assert await far.line.stand("chat", "b") == 0


async def end_runs(log: RunLog, **sizes: int) -> None:
    for chat_id, size in sizes.items():
        writer = await begin(log, chat_id)
        writer.append(b"x" * size)
        assert await writer.finish("finished")


async def kept_chats(log: RunLog, chat_ids: str) -> str:
    infos = {chat_id: await log.find(chat_id) for chat_id in chat_ids}
    kept = {chat_id: info.id for chat_id, info in infos.items() if info is not None}
    assert all([await collect(log, run_id) for run_id in kept.values()])
    return "".join(kept)
