"""Bells: each remembers that it rang, all ring in one order, and who drops a bell is forgotten."""

from __future__ import annotations

import asyncio

from adapters.wakeup import Bells


async def test_a_ring_is_remembered_until_somebody_waits() -> None:
    bells = Bells()
    bell = bells.subscribe()
    bells.ring()
    bells.ring()
    await bell.wait()
    waiting = asyncio.create_task(bell.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    bells.ring()
    await waiting


async def test_they_ring_in_the_order_in_which_they_came() -> None:
    bells, woken = Bells(), list[int]()

    async def listen(number: int) -> None:
        bell = bells.subscribe()
        await bell.wait()
        woken.append(number)

    tasks = [asyncio.create_task(listen(number)) for number in range(50)]
    await asyncio.sleep(0)
    bells.ring()
    await asyncio.gather(*tasks)
    assert woken == list(range(50))


def test_a_dropped_bell_is_forgotten() -> None:
    bells = Bells()
    kept = bells.subscribe()
    for _ in range(10):
        bells.subscribe()
    bells.ring()
    assert [each() for each in bells._bells if each() is not None] == [kept]
    assert len(bells._bells) <= 2
