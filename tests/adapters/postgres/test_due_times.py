"""Due times go out together: one statement at a time, everybody has his own answer, and a failure is everybody's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from adapters.postgres import due_times as module
from adapters.postgres.due_times import Asked, DueTimes
from adapters.postgres.event_store import PostgresEventStore
from core.errors import StoreUnavailable
from core.ports import StreamId
from core.values import Urgency
from tests.contracts.event_store import append


def asked(nth: int) -> Asked:
    return StreamId(enterprise="0367", name=f"call/{nth}"), 1, nth, Urgency.LIVE


class Told:
    """Statements that end when they are let go; even numbers are at their version."""

    def __init__(self) -> None:
        self.statements: list[list[int]] = []
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, some: Sequence[Asked]) -> set[int]:
        numbers = [due_ms or 0 for _, _, due_ms, _ in some]
        self.statements.append(numbers)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {place for place, number in enumerate(numbers, 1) if number % 2 == 0}


async def test_who_asks_while_a_statement_is_under_way_goes_into_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    told = Told()
    times = DueTimes(told)
    first = asyncio.create_task(times.set(asked(2)))
    await asyncio.sleep(0)
    others = [asyncio.create_task(times.set(asked(nth))) for nth in (3, 4, 5, 6)]
    await asyncio.sleep(0)
    told.gate.set()
    assert await asyncio.gather(first, *others) == [True, False, True, False, True]
    assert told.statements == [[2], [3, 4, 5], [6]]
    assert await times.set(asked(8))


async def test_a_failure_is_told_to_all_of_its_statement_and_the_next_one_is_made() -> None:
    told = Told()
    told.error = StoreUnavailable("away")
    told.gate.set()
    times = DueTimes(told)
    results = await asyncio.gather(times.set(asked(2)), times.set(asked(4)), return_exceptions=True)
    assert [type(each) for each in results] == [StoreUnavailable, StoreUnavailable]
    told.error = None
    assert await times.set(asked(2))


async def test_who_leaves_disturbs_nobody() -> None:
    told = Told()
    times = DueTimes(told)
    leaving, staying = (asyncio.create_task(times.set(asked(nth))) for nth in (2, 4))
    await asyncio.sleep(0)
    leaving.cancel()
    told.gate.set()
    assert await staying
    assert leaving.cancelled()


async def test_in_postgres_each_goes_by_its_own_version(pg_store: PostgresEventStore) -> None:
    streams = [StreamId(enterprise="0367", name=f"call/{n}") for n in range(20)]
    for stream in streams:
        await pg_store.append(append(stream, "a"))
    results = await asyncio.gather(*(pg_store.set_due(stream, 1 + nth % 2, nth) for nth, stream in enumerate(streams)))
    assert results == [nth % 2 == 0 for nth in range(20)]
    assert [each.due_ms for each in await pg_store.due(100, 100)] == list(range(0, 20, 2))
