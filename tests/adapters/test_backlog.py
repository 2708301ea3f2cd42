"""How far behind: counted by enterprise and urgency, with the oldest and an estimate; nothing that is not due counts."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from adapters.backlog import EVERY_S, REQUESTS_PER_S, REST, SHOWN_ENTERPRISES, Backlog, BacklogMeter, Lane, measure
from adapters.postgres.database import load_sql
from core.values import Urgency

NOW_MS = 1_795_437_000_000


async def due(pool: Any, enterprise: str, call: str, due_ms: int | None, urgency: Urgency = Urgency.LIVE) -> None:
    await pool.execute(
        "INSERT INTO streams (enterprise, stream, version, due_ms, urgency) VALUES ($1, 'call/' || $2, 1, $3, $4)",
        enterprise,
        call,
        due_ms,
        urgency,
    )


def lane(enterprise: str, calls: int, urgency: Urgency = Urgency.BACKLOG, late_s: float = 1) -> Lane:
    return Lane(enterprise=enterprise, urgency=urgency, calls=calls, oldest_ms=NOW_MS - round(late_s * 1000))


def backlog(*lanes: Lane, **parked: int) -> Backlog:
    return Backlog(at_ms=NOW_MS, lanes=lanes, parked=parked)


async def test_what_is_due_is_counted_by_enterprise_and_urgency(pg_pool: Any) -> None:
    await due(pg_pool, "0367", "A", NOW_MS - 5_000)
    await due(pg_pool, "0367", "B", NOW_MS)
    await due(pg_pool, "0367", "C", NOW_MS + 1)
    await due(pg_pool, "0367", "D", None)
    await due(pg_pool, "0367", "E", NOW_MS - 90_000, Urgency.BACKLOG)
    await due(pg_pool, "0999", "A", NOW_MS - 1, Urgency.ENDED)
    await due(pg_pool, "1000", "A", NOW_MS + 1)
    found = await measure(pg_pool, NOW_MS)
    assert set(found.lanes) == {
        Lane(enterprise="0367", urgency=Urgency.LIVE, calls=2, oldest_ms=NOW_MS - 5_000),
        Lane(enterprise="0367", urgency=Urgency.BACKLOG, calls=1, oldest_ms=NOW_MS - 90_000),
        Lane(enterprise="0999", urgency=Urgency.ENDED, calls=1, oldest_ms=NOW_MS - 1),
    }
    assert (found.count, found.oldest_s, found.parked) == (4, 90.0, {})
    assert found.calls == {Urgency.LIVE: 2, Urgency.ENDED: 1, Urgency.BACKLOG: 1}


async def test_nothing_waits(pg_pool: Any) -> None:
    found = await measure(pg_pool, NOW_MS)
    assert (found.count, found.oldest_s, found.estimate_s) == (0, 0.0, 0.0)
    assert found.as_json() == {
        "at_ms": NOW_MS, "calls": 0, "calls_live": 0, "calls_ended": 0, "calls_backlog": 0,
        "oldest_s": 0.0, "estimate_s": 0.0, "enterprises": [],
    }  # fmt: skip


async def test_the_index_of_due_streams_answers_alone(pg_pool: Any) -> None:
    """However many calls there ever were: only what is due is read."""
    await pg_pool.execute(
        "INSERT INTO streams (enterprise, stream, version, due_ms) SELECT '0367', 'call/' || n, 1, CASE WHEN n <= 50 THEN n END"
        " FROM generate_series(1, 20000) AS n"
    )
    await pg_pool.execute("ANALYZE streams")
    plan = "\n".join(row[0] for row in await pg_pool.fetch(f"EXPLAIN {load_sql('backlog').replace('$1', str(NOW_MS))}"))
    assert "Seq Scan on streams" not in plan
    assert plan.count("streams_due") == 3
    assert (await measure(pg_pool, NOW_MS)).count == 50


def test_the_slowest_enterprise_says_how_long_it_takes() -> None:
    found = backlog(lane("0367", 1_800), lane("0999", 3_600), lane("0999", 90, Urgency.LIVE), lane("0999", 90, Urgency.ENDED))
    assert found.estimates_s == {"0367": 1_800 / REQUESTS_PER_S, "0999": (3_600 + 2 * 180) / REQUESTS_PER_S}
    assert found.estimate_s == 220.0
    slow = Backlog(at_ms=NOW_MS, lanes=(lane("0367", 10),), parked={}, requests_per_s=0.5)
    assert slow.estimate_s == 20.0


def test_a_clock_that_went_back_makes_nothing_younger_than_now() -> None:
    assert backlog(lane("0367", 1, late_s=-5)).oldest_s == 0.0


def test_the_furthest_behind_are_named_and_bounded() -> None:
    many = [lane(f"{number:04d}", number + 1, late_s=number) for number in range(SHOWN_ENTERPRISES + 5)]
    told = backlog(*many, lane("0024", 3, Urgency.LIVE, late_s=1_000)).as_json()
    assert len(told["enterprises"]) == SHOWN_ENTERPRISES
    assert told["enterprises"][0] == {
        "enterprise": "0024", "calls": 28, "oldest_s": 1000.0, "estimate_s": round((25 + 6) / REQUESTS_PER_S, 1),
    }  # fmt: skip
    assert told["enterprises"][-1]["enterprise"] == "0005"
    assert (told["calls"], told["calls_live"], told["calls_backlog"]) == (328, 3, 325)


class Clock:
    """Seconds that stand still until somebody moves them."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def __call__(self) -> float:
        return self.at_s


async def test_whoever_asks_again_soon_gets_what_was_seen(pg_pool: Any) -> None:
    clock = Clock()
    meter = BacklogMeter(pg_pool, now_ms=lambda: NOW_MS, monotonic_s=clock)
    assert meter.last is None
    assert (await meter.recent()).count == 0
    await due(pg_pool, "0367", "A", NOW_MS)
    assert (await meter.recent()).count == 0
    clock.at_s += EVERY_S
    assert (await meter.recent()).count == 1
    await due(pg_pool, "0367", "B", NOW_MS)
    assert (await meter.look()).count == 2
    assert meter.last is not None
    assert meter.last.count == 2


class Slow:
    """A pool that takes its time, and may be away."""

    def __init__(self, pool: Any, clock: Clock) -> None:
        self._pool, self._clock = pool, clock
        self.takes_s, self.away = 0.0, False

    async def fetch(self, *query: Any) -> Any:
        self._clock.at_s += self.takes_s
        if self.away:
            raise asyncpg.CannotConnectNowError("starting up")
        return await self._pool.fetch(*query)


async def test_it_looks_again_and_again_and_rests_long_when_looking_is_dear(pg_pool: Any) -> None:
    clock, pauses = Clock(), asyncio.Queue[float]()
    pool, go_on = Slow(pg_pool, clock), asyncio.Semaphore(0)

    async def pause(seconds: float) -> None:
        pauses.put_nowait(seconds)
        await go_on.acquire()

    meter = BacklogMeter(pool, now_ms=lambda: NOW_MS, monotonic_s=clock, pause=pause)
    running = asyncio.create_task(meter.run())
    assert await pauses.get() == EVERY_S
    pool.takes_s = 1.0
    go_on.release()
    assert await pauses.get() == 2.0 * REST
    pool.takes_s, pool.away = 0.0, True
    await due(pg_pool, "0367", "A", NOW_MS)
    go_on.release()
    assert await pauses.get() == EVERY_S
    assert meter.last is not None
    assert meter.last.count == 0, "what was seen last stands"
    pool.away = False
    go_on.release()
    await pauses.get()
    assert meter.last.count == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
