"""What an application raises goes as far as it may, and no further."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from usechat.errors import ApplicationError
from usechat.guard import Contained, describe_error, exception_for, original_error

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class PanicError(BaseException):
    """No `Exception`."""


class UnprintableError(Exception):
    """Cannot be written."""

    def __str__(self) -> str:
        raise SystemExit(1)


@pytest.mark.parametrize("error", [PanicError("x"), SystemExit(2), GeneratorExit(), asyncio.CancelledError()])
async def test_what_is_no_exception_is_raised_as_one(error: BaseException):
    with pytest.raises(ApplicationError) as raised, Contained():
        raise error
    assert raised.value.error is raised.value.__cause__ is original_error(raised.value) is error


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
async def test_exceptions_and_interrupts_pass(error: BaseException):
    with pytest.raises(type(error)) as raised, Contained():
        raise error
    assert raised.value is error


async def test_cancellation_of_the_task_passes():
    begun = asyncio.Event()

    async def wait() -> None:
        with Contained():
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_coroutine_that_is_dropped_can_be_closed():
    raised: list[BaseException] = []

    async def wait() -> None:
        try:
            with Contained():
                await asyncio.Event().wait()
        except BaseException as error:
            raised.append(error)
            raise

    async def begin() -> None:
        coroutine = wait()
        coroutine.send(None)
        dropped.append(coroutine)

    dropped: list[Any] = []
    await asyncio.create_task(begin())
    dropped.clear()
    gc.collect()
    assert [type(error) for error in raised] == [GeneratorExit]


def test_outside_of_an_event_loop_it_contains_as_well():
    with pytest.raises(ApplicationError), Contained():
        raise PanicError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no city"), "no city"),
        (ValueError(), "ValueError"),
        (UnprintableError(), "UnprintableError"),
        (SystemExit(2), "SystemExit: 2"),
        (PanicError(), "PanicError"),
    ],
)
async def test_every_error_can_be_described(error: BaseException, text: str):
    assert describe_error(error) == text


async def test_only_an_exception_is_raised_elsewhere():
    error, panic = ValueError(), PanicError()
    assert exception_for(error) is error
    assert original_error(exception_for(panic)) is panic


def test_text_of_an_error_does_not_fill_the_log():
    assert len(describe_error(ValueError("x" * 10**6))) < 5000
