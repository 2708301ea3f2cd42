"""What the PostgreSQL tests share: a follower that checks what it reads, and many writers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from core.ports import Append, Appended, EventStore, NewEvent, RecordedEvent, StreamId
from tests.contracts.event_store import event


class Follower:
    """Follows the log as every reader of the house does, and fails at the first gap or inversion."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.seen: list[RecordedEvent] = []
        self._versions: dict[StreamId, int] = {}

    async def step(self, limit: int = 100) -> int:
        """Read the next page; how many events it held."""
        page = await self._store.read_log(len(self.seen), limit)
        for recorded in page:
            assert recorded.position == len(self.seen) + 1, "a gap in the log, or an event that came late"
            assert recorded.version == self._versions.get(recorded.stream, 0) + 1, "a stream out of order"
            self._versions[recorded.stream] = recorded.version
            self.seen.append(recorded)
        return len(page)

    async def follow(self, done: Callable[[], bool]) -> None:
        """Read until nothing is left after ``done`` became true. Always behind the writers' heels: no pause at all."""
        while True:
            finished = done()
            if not await self.step() and finished:
                return


def calls(number: int) -> StreamId:
    """One of a few streams, so that writers meet in them."""
    return StreamId(enterprise=f"{number % 2:04}", name=f"call/{number % 5}")


async def write(store: EventStore, writer: int, appends: int, after_each: Callable[[], Awaitable[None]]) -> list[Appended]:
    """One writer: appends of one to three events, each event with a note of its own."""
    results = []
    for number in range(appends):
        events: tuple[NewEvent, ...] = tuple(event(f"{writer}-{number}-{nth}") for nth in range(1 + number % 3))
        results.append(await store.append(Append(stream=calls(writer + number), events=events)))
        await after_each()
    return results


async def nothing() -> None:
    """For writers that need nothing done after each append."""
    await asyncio.sleep(0)


async def eventually(true: Callable[[], Awaitable[bool]]) -> None:
    """Return once the condition holds; it is asked over and over, because the database does not tell when it changes."""
    for _ in range(4_000):
        if await true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came about")
