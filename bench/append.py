"""Store append, full path, beside a bare group commit, single asyncpg INSERTs and the ``eventsourcing`` library."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from typing import Any, Final

import orjson

from adapters.ids import event_id
from adapters.postgres.database import create_pool
from adapters.postgres.event_store import PostgresEventStore
from adapters.service import calm_the_collector
from bench.bare import ONE, BareWriter, open_bare
from bench.figures import Figure, number, quantile, ratio, spread
from bench.ground import Ground, child, interleaved
from bench.machine import flushes_per_s
from bench.sizes import Size
from bench.work import Call
from core.ports import Append, NewEvent, StreamId

ROW: Final = "append"
OF_THE_BARE: Final = 0.7
OF_THE_LIBRARY: Final = 10.0
THREADS: Final = 8
EVENTS_A_CALL: Final = 8
LIVE: Final = 1_024
"""So many calls go on at once, each with its next event in turn: a batch finds most of its streams there already."""



@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What one side did in its time: how long each append took (s)."""

    seconds: float
    each_s: list[float]

    @property
    def per_s(self) -> float:
        """Events a second."""
        return len(self.each_s) / self.seconds

    def told(self) -> str:
        """In words."""
        p50, p99 = (quantile(self.each_s, share) * 1000 for share in (0.5, 0.99))
        return f"{number(self.per_s)}/s, p50 {number(p50)} ms, p99 {number(p99)} ms"


Side = Callable[[int], Awaitable[Took]]


async def keep_appending(append: Callable[[int], Awaitable[Any]], callers: int, seconds: float) -> Took:
    """So many callers, each with its next append as soon as its last is on disk. ``append`` gets a number that never repeats."""
    numbers, took = count(), list[float]()
    clock = time.perf_counter
    began = clock()
    until = began + seconds

    async def call() -> None:
        while (at := clock()) < until:
            await append(next(numbers))
            took.append(clock() - at)

    await asyncio.gather(*(call() for _ in range(callers)))
    return Took(seconds=clock() - began, each_s=took)


def observation() -> dict[str, Any]:
    """The data of one observation as the service keeps it: a dial with its raw body."""
    event, body = next(
        each for each in Call(id="k", enterprise="1000", number="375291234567", start_s=0.0).bodies("answered") if each[0] == "dial"
    )
    return {
        "heard_ms": 1_795_436_912_273, "wire": "call-event", "settings_revision": 1, "raw": body, "channel": "k.1",
        "direction": "in", "number": "+375291234567", "extensions": ["101", "102", "103"], "trunk": event,
    }  # fmt: skip


def as_append(nth: int, data: dict[str, Any]) -> Append:
    """An append as ``Ingest`` makes it: a stream of some events, a digest of its own, due soon."""
    call = nth // (LIVE * EVENTS_A_CALL) * LIVE + nth % LIVE
    return Append(
        stream=StreamId(enterprise=f"{1_000 + call % 100}", name=f"call/k{call}.1"),
        events=(NewEvent(id=event_id(), type="dial_observed", schema=1, data=data),),
        digest=sha256(b"%d" % nth).digest(),
        due_ms=1_795_436_912_773,
    )


@contextlib.asynccontextmanager
async def ours(dsn: str, seconds: float) -> AsyncIterator[Side]:
    """The service's own store, with somebody who listens for commits as the read models do."""
    pool = await create_pool(dsn)
    data, sides = observation(), count()
    try:
        async with PostgresEventStore(pool, dsn) as store:
            bell = store.subscribe()

            async def side(callers: int) -> Took:
                base = next(sides) * 1_000_000_000
                return await keep_appending(lambda nth: store.append(as_append(base + nth, data)), callers, seconds)

            yield side
            del bell
    finally:
        await pool.close()


@contextlib.asynccontextmanager
async def bare(dsn: str, seconds: float) -> AsyncIterator[Side]:
    """The bare group commit, of the same data, made into JSON for each append as ours does."""
    connection = await open_bare(dsn)
    writer, data = BareWriter(connection), observation()

    async def side(callers: int) -> Took:
        async def append(nth: int) -> None:
            await writer.append(
                (f"{1_000 + nth % 100}:call/k{nth // EVENTS_A_CALL}.1", "dial_observed", orjson.dumps(data).decode())
            )

        return await keep_appending(append, callers, seconds)

    try:
        yield side
    finally:
        await connection.close()


async def single_inserts(dsn: str, seconds: float) -> Took:
    """asyncpg, one INSERT and commit each, eight connections."""
    connections = [await open_bare(dsn) for _ in range(THREADS)]
    free = list(connections)
    text = orjson.dumps(observation()).decode()

    async def append(nth: int) -> None:
        connection = free.pop()
        try:
            await connection.execute(ONE, f"call/k{nth}", "dial_observed", text)
        finally:
            free.append(connection)

    try:
        return await keep_appending(append, THREADS, seconds)
    finally:
        for each in connections:
            await each.close()


async def measure(place: Ground, size: Size) -> list[Figure]:
    """See the module."""
    calm_the_collector()  # as in the service; both sides have it so
    flushes = flushes_per_s(place.folder)
    limit = f"{number(flushes)} flushes a second; each commit waits for one"
    found: list[Figure] = []
    async with contextlib.AsyncExitStack() as stack:
        bases = [await stack.enter_async_context(place.database(migrated=nth == 0)) for nth in range(4)]
        mine = await stack.enter_async_context(ours(bases[0], size.side_s))
        lean = await stack.enter_async_context(bare(bases[1], size.side_s))
        library = await stack.enter_async_context(child(place, "eventsourcing_recorder", dsn=bases[2]))

        async def recorder(callers: int) -> Took | None:
            order = {"threads": THREADS, "seconds": size.side_s, "data": orjson.dumps(observation()).decode()}
            answer = await library.ask("run", **order)
            return None if "missing" in answer else Took(seconds=answer["seconds"], each_s=answer["took"])

        for callers in size.callers:
            sides: dict[str, Callable[[], Awaitable[Took | None]]] = {
                "ours": lambda callers=callers: mine(callers),  # type: ignore[misc]
                "bare group commit": lambda callers=callers: lean(callers),  # type: ignore[misc]
                "eventsourcing, 8 threads": lambda callers=callers: recorder(callers),  # type: ignore[misc]
                "asyncpg, an INSERT a transaction, 8 connections": lambda: single_inserts(bases[3], size.side_s),
            }
            found += _figures(callers, await interleaved(sides, size.rounds), limit)
    return found


def _figures(callers: int, took: dict[str, list[Took | None]], limit: str) -> list[Figure]:
    known = {name: [each for each in rounds if each is not None] for name, rounds in took.items()}
    beside = {name: rounds[len(rounds) // 2].told() for name, rounds in known.items() if rounds}
    rates = {name: [each.per_s for each in rounds] for name, rounds in known.items()}
    mine, what = rates["ours"], f"{callers} callers"
    figures = [
        Figure(row=ROW, what=f"{what}: ours", value=spread(mine), unit="events/s", limit=limit, beside=beside),
        Figure(
            row=ROW,
            what=f"{what}: ours / bare group commit",
            value=ratio(mine, rates["bare group commit"]),
            unit="×",
            target=OF_THE_BARE,
        ),
    ]
    if rates["eventsourcing, 8 threads"]:
        value = ratio(mine, rates["eventsourcing, 8 threads"])
        figures.append(Figure(row=ROW, what=f"{what}: ours / eventsourcing", value=value, unit="×", target=OF_THE_LIBRARY))
    return figures
