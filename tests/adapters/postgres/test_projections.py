"""The runner: every event once and in order into each read model, whoever runs it and whatever dies; rebuilt equals live."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest

from adapters.postgres import projections
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.projections import ProjectionRunner
from core.ports import ProjectionDb, RecordedEvent
from tests.adapters.postgres.support import eventually
from tests.contracts.event_store import BRIDGE, CALL, append

TABLE = "CREATE TABLE seen (model text, nth serial, position bigint, note json)"


class Seen:
    """Writes down every event it is given; a second time would be a second row."""

    def __init__(self, name: str = "seen") -> None:
        self.name = name
        self.fail = 0
        self.applied = asyncio.Event()

    async def apply(self, db: ProjectionDb, events: Sequence[RecordedEvent]) -> None:
        await db.executemany(
            "INSERT INTO seen (model, position, note) VALUES ($1, $2, $3)",
            [(self.name, each.position, each.data["note"]) for each in events],
        )
        if self.fail:
            self.fail -= 1
            raise ValueError("a bug")
        self.applied.set()

    async def reset(self, db: ProjectionDb) -> None:
        await db.execute("DELETE FROM seen WHERE model = $1", self.name)


async def rows(pool: asyncpg.Pool, model: str = "seen") -> list[tuple[int, Any]]:
    return [
        (row["position"], row["note"])
        for row in await pool.fetch("SELECT position, note FROM seen WHERE model = $1 ORDER BY nth", model)
    ]


@pytest.fixture
async def pool(pg_pool: asyncpg.Pool) -> asyncpg.Pool:
    await pg_pool.execute(TABLE)
    return pg_pool


@contextlib.asynccontextmanager
async def running(*runners: ProjectionRunner) -> AsyncIterator[None]:
    """The runners at work for as long as the block lasts."""
    tasks = [asyncio.ensure_future(runner.run()) for runner in runners]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def reached(database: Any, position: int, *names: str) -> None:
    """Return once the checkpoints are there."""
    query = "SELECT count(*) FROM checkpoints WHERE name = ANY ($1) AND position >= $2"

    async def there() -> bool:
        return bool(await database.fetchval(query, list(names), position) == len(names))

    await eventually(there)


async def test_a_commit_wakes_every_projection(pool: asyncpg.Pool, pg_store: PostgresEventStore) -> None:
    one, two = Seen("one"), Seen("two")
    runner = ProjectionRunner(pool, pg_store, [one, two], poll_s=3_600)
    async with running(runner):
        await pg_store.append(append(CALL, "a", "b"))
        await reached(pool, 2, "one", "two")
        await pg_store.append(append(BRIDGE, "c"))
        await reached(pool, 3, "one", "two")

        async def told() -> bool:
            return [state.position for state in runner.states()] == [3, 3]

        await eventually(told)

    assert await rows(pool, "one") == await rows(pool, "two") == [(1, "a"), (2, "b"), (3, "c")]
    assert [(state.name, state.position, state.error) for state in runner.states()] == [("one", 3, ""), ("two", 3, "")]


async def test_commits_of_other_processes_are_found_by_polling(
    pool: asyncpg.Pool, pg_store: PostgresEventStore, database_url: str
) -> None:
    async with (
        PostgresEventStore(pool, database_url) as elsewhere,
        running(ProjectionRunner(pool, pg_store, [Seen()], poll_s=0.01)),
    ):
        await elsewhere.append(append(CALL, "a"))
        await reached(pool, 1, "seen")

    assert await rows(pool) == [(1, "a")]


async def test_several_instances_apply_every_event_once(pool: asyncpg.Pool, pg_store: PostgresEventStore) -> None:
    runners = [ProjectionRunner(pool, pg_store, [Seen()], poll_s=0.01, batch=7) for _ in range(3)]
    async with running(*runners):
        await asyncio.gather(*(pg_store.append(append(CALL, number)) for number in range(200)))
        await reached(pool, 200, "seen")

    assert [position for position, _ in await rows(pool)] == list(range(1, 201))


class Mortal(Seen):
    """Loses its connection in the middle of every third batch."""

    def __init__(self, killer: Any) -> None:
        super().__init__()
        self._killer = killer
        self.batches = self.kills = 0

    async def apply(self, db: ProjectionDb, events: Sequence[RecordedEvent]) -> None:
        await super().apply(db, events)
        self.batches += 1
        if self.batches % 3 == 0:
            (row,) = await db.fetch("SELECT pg_backend_pid() AS pid")
            self.kills += await self._killer.fetchval("SELECT pg_terminate_backend($1)", row["pid"])


async def test_killed_connections_neither_skip_nor_repeat(
    pool: asyncpg.Pool, pg_store: PostgresEventStore, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections, "BACKOFF_S", (0.01,))
    await asyncio.gather(*(pg_store.append(append(CALL, number)) for number in range(300)))
    killer, watcher = await asyncpg.connect(database_url), await asyncpg.connect(database_url)
    mortal = Mortal(killer)
    async with running(ProjectionRunner(pool, pg_store, [mortal], poll_s=0.01, batch=5)):
        await reached(watcher, 300, "seen")
    await killer.close()
    await watcher.close()

    assert mortal.kills >= 20
    assert [position for position, _ in await rows(pool)] == list(range(1, 301))


async def test_cancelling_is_heard_even_when_the_connection_just_died(
    pool: asyncpg.Pool, pg_store: PostgresEventStore, database_url: str
) -> None:
    """The failing ROLLBACK of a dead connection must not hide that the runner was told to stop."""
    killer = await asyncpg.connect(database_url)
    dead = asyncio.Event()

    class Interrupted(Seen):
        async def apply(self, db: ProjectionDb, events: Sequence[RecordedEvent]) -> None:
            (row,) = await db.fetch("SELECT pg_backend_pid() AS pid")
            await killer.execute("SELECT pg_terminate_backend($1, 5000)", row["pid"])
            dead.set()
            await asyncio.Event().wait()

    await pg_store.append(append(CALL))
    task = asyncio.ensure_future(ProjectionRunner(pool, pg_store, [Interrupted()]).run())
    await dead.wait()
    task.cancel()
    await asyncio.wait([task], timeout=10)

    assert task.cancelled()
    await killer.close()


async def test_a_failing_projection_stands_still_and_says_so_while_others_go_on(
    pool: asyncpg.Pool, pg_store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections, "BACKOFF_S", (0.01,))
    broken, healthy = Seen("broken"), Seen("healthy")
    broken.fail = 10**9
    runner = ProjectionRunner(pool, pg_store, [broken, healthy], poll_s=0.01)
    async with running(runner):
        await pg_store.append(append(CALL, "a"))
        await reached(pool, 1, "healthy")

        async def failed_thrice() -> bool:
            return runner.states()[0].failures >= 3

        await eventually(failed_thrice)
        state = runner.states()[0]
        assert (state.position, state.error) == (0, "a bug (ValueError), see the log")
        assert await rows(pool, "broken") == []

        broken.fail = 0
        await reached(pool, 1, "broken")

    assert await rows(pool, "broken") == [(1, "a")]


async def test_rebuilt_equals_live(pool: asyncpg.Pool, pg_store: PostgresEventStore) -> None:
    other = Seen("other")
    runner = ProjectionRunner(pool, pg_store, [Seen(), other])
    for number in range(10):
        await pg_store.append(append(CALL if number % 2 else BRIDGE, number))
        await runner.catch_up()
    live = await rows(pool)
    await pool.execute("INSERT INTO seen (model, position) VALUES ('seen', 99)")
    progress: list[tuple[int, int]] = []

    assert await runner.rebuild("seen", lambda done, head: progress.append((done, head))) == 10

    assert await rows(pool) == live
    assert [position for position, _ in live] == list(range(1, 11))
    assert (progress[0], progress[-1]) == ((0, 10), (10, 10))
    assert len(await rows(pool, "other")) == 10


async def test_rebuilding_beside_running_instances(pool: asyncpg.Pool, pg_store: PostgresEventStore) -> None:
    await asyncio.gather(*(pg_store.append(append(CALL, number)) for number in range(100)))
    runners = [ProjectionRunner(pool, pg_store, [Seen()], poll_s=0.01, batch=3) for _ in range(3)]
    async with running(runners[0], runners[1]):
        for _ in range(3):
            await asyncio.gather(runners[2].rebuild("seen"), *(pg_store.append(append(BRIDGE, n)) for n in range(20)))
        await reached(pool, 160, "seen")

    assert [position for position, _ in await rows(pool)] == list(range(1, 161))


async def test_rebuilding_an_empty_log(pool: asyncpg.Pool, pg_store: PostgresEventStore) -> None:
    assert await ProjectionRunner(pool, pg_store, [Seen()]).rebuild("seen") == 0
    assert await rows(pool) == []


async def test_names_are_unique(pool: asyncpg.Pool, pg_store: PostgresEventStore) -> None:
    with pytest.raises(ValueError, match="same name"):
        ProjectionRunner(pool, pg_store, [Seen(), Seen()])
    with pytest.raises(KeyError):
        await ProjectionRunner(pool, pg_store, [Seen()]).rebuild("unknown")
