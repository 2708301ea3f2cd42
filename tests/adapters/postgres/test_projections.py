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
        for each in events:
            await db.execute(
                "INSERT INTO seen (model, position, note) VALUES ($1, $2, $3)", self.name, each.position, each.data["note"]
            )
        if self.fail:
            self.fail -= 1
            raise ValueError("a bug")
        self.applied.set()


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


async def test_names_are_unique(pool: asyncpg.Pool, pg_store: PostgresEventStore) -> None:
    with pytest.raises(ValueError, match="same name"):
        ProjectionRunner(pool, pg_store, [Seen(), Seen()])


class Counted:
    """A pool that counts what is asked of it."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.transactions = self.looks = 0

    def acquire(self) -> Any:
        self.transactions += 1
        return self._pool.acquire()

    async def fetch(self, query: str, *args: Any) -> Any:
        self.looks += 1
        return await self._pool.fetch(query, *args)

    async def execute(self, query: str, *args: Any) -> Any:
        return await self._pool.execute(query, *args)


async def test_what_is_committed_within_a_moment_is_one_transaction_of_all(
    pool: asyncpg.Pool, pg_store: PostgresEventStore
) -> None:
    counted: Any = Counted(pool)
    async with running(ProjectionRunner(counted, pg_store, [Seen("one"), Seen("two")], poll_s=3_600, gather_s=0.3)):
        for number in range(10):
            await pg_store.append(append(CALL, number))
        await reached(pool, 10, "one", "two")

    assert counted.transactions <= 3, "one for what was there at first, one or two for the rest"
    assert await rows(pool, "one") == await rows(pool, "two") == [(number + 1, number) for number in range(10)]


@contextlib.asynccontextmanager
async def at_it(pool: asyncpg.Pool) -> AsyncIterator[Any]:
    """Another instance takes a batch for as long as the block lasts: it holds the checkpoint's lock."""
    await pool.execute("INSERT INTO checkpoints VALUES ('seen', 0) ON CONFLICT DO NOTHING")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM checkpoints WHERE name = 'seen' FOR UPDATE")
        yield connection


async def test_who_stands_by_is_not_woken_by_its_own_commits(pool: asyncpg.Pool, pg_store: PostgresEventStore) -> None:
    counted: Any = Counted(pool)
    await pg_store.append(append(CALL, 0))
    async with at_it(pool), running(ProjectionRunner(counted, pg_store, [Seen()], gather_s=0, poll_s=0.001, standby_s=3_600)):

        async def met() -> bool:
            return bool(counted.transactions == 1)

        await eventually(met)
        for number in range(50):
            await pg_store.append(append(BRIDGE, number))
        assert (counted.transactions, counted.looks) == (1, 1)


async def test_who_stands_by_takes_over_when_the_checkpoint_does_not_move_any_more(
    pool: asyncpg.Pool, pg_store: PostgresEventStore
) -> None:
    counted: Any = Counted(pool)
    await pg_store.append(append(CALL, 1, 2, 3))
    async with running(ProjectionRunner(counted, pg_store, [Seen()], gather_s=0, standby_s=0.01)):
        async with at_it(pool) as connection:

            async def looked() -> bool:
                return bool(counted.looks >= 5)

            await eventually(looked)
            await connection.execute("UPDATE checkpoints SET position = 2 WHERE name = 'seen'")
        await reached(pool, 3, "seen")

    assert await rows(pool) == [(3, 3)], "from where the other one came to"
