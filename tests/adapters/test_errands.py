"""Work whose asker may stop waiting: bounded in time for the one, in number for all."""

from __future__ import annotations

import asyncio

import pytest

from adapters.errands import Errands
from core.errors import StoreUnavailable
from tests.eventually import until


class Stubborn:
    """Work that ends when it is let go, and not when it is called off: as a statement on a dead connection."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.done = False

    async def __call__(self) -> str:
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                continue
        self.done = True
        return "done"


async def test_the_result_comes_through() -> None:
    errands, work = Errands(1), Stubborn()
    work.let_go.set()
    assert await errands.within(60, work()) == "done"
    assert errands.running == 0


async def test_an_error_comes_through() -> None:
    async def wrong() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await Errands(1).within(60, wrong())


async def test_whoever_waits_is_let_go_in_time_and_the_work_goes_on() -> None:
    errands, work = Errands(1), Stubborn()
    with pytest.raises(TimeoutError):
        await errands.within(0.01, work())
    assert (errands.running, work.done) == (1, False)
    work.let_go.set()
    await until(lambda: not errands.running)
    assert work.done


async def test_whoever_goes_away_leaves_the_work() -> None:
    errands, work = Errands(1), Stubborn()
    waiting = asyncio.create_task(errands.within(60, work()))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert (waiting.cancelled(), errands.running) == (True, 1)
    work.let_go.set()
    await until(lambda: not errands.running)
    assert work.done


async def test_there_is_no_room_for_more_than_so_many() -> None:
    errands, works = Errands(2), [Stubborn() for _ in range(3)]
    for work in works[:2]:
        with pytest.raises(TimeoutError):
            await errands.within(0, work())
    with pytest.raises(StoreUnavailable):
        await errands.within(60, works[2]())
    for work in works:
        work.let_go.set()
    await until(lambda: not errands.running)
    assert [work.done for work in works] == [True, True, False]
