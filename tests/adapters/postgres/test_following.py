"""Following the log misses nothing and sees nothing out of order, whatever else goes on in the database (issue 2, point 1)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from adapters.postgres.batch import Item, arguments
from adapters.postgres.database import connect, load_sql
from adapters.postgres.event_store import PostgresEventStore
from core.ports import Append, encode_events
from tests.adapters.postgres.support import Follower, nothing, waiting_for_locks, write
from tests.contracts.event_store import BRIDGE, CALL, OTHER_CALL, append, notes
from tests.databases import in_database

APPEND_BATCH = load_sql("append_batch")


async def append_by_hand(connection: Any, *appends: Append) -> None:
    """What a writer does, inside a transaction of the test's choice."""
    items = [Item(append=each, data=encode_events(each)) for each in appends]
    await connection.fetchrow(APPEND_BATCH, *arguments(items, check_ids=False))


@pytest.mark.parametrize("instances", [1, 2, 8])
async def test_eight_writers_and_a_follower(pg_pool: asyncpg.Pool, database_url: str, instances: int) -> None:
    async with AsyncExitStack() as stack:
        stores = [
            await stack.enter_async_context(PostgresEventStore(pg_pool, database_url)) for _ in range(instances)
        ]
        follower = Follower(PostgresEventStore(pg_pool, database_url))
        writers = asyncio.gather(*(write(stores[n % instances], n, 60, nothing) for n in range(8)))
        await follower.follow(writers.done)
        results = await writers

    assert len(follower.seen) == 8 * 60 * 2
    assert len({recorded.data["note"] for recorded in follower.seen}) == 8 * 60 * 2
    for writer, appended in enumerate(results):
        for number, done in enumerate(appended):
            assert follower.seen[done.position - 1].data["note"] == f"{writer}-{number}-{number % 3}"


async def test_two_instances_agree_on_versions_and_duplicates(pg_pool: asyncpg.Pool, database_url: str) -> None:
    async with PostgresEventStore(pg_pool, database_url) as one, PostgresEventStore(pg_pool, database_url) as two:
        signals = await asyncio.gather(
            *(store.append(append(CALL, digest=bytes([number]))) for number in range(30) for store in (one, two))
        )
        deciders = await asyncio.gather(
            *(store.append(append(OTHER_CALL, expected_version=0)) for store in (one, two) for _ in range(5)),
            return_exceptions=True,
        )

    assert [done.duplicate for done in signals].count(False) == 30
    assert [isinstance(done, BaseException) for done in deciders].count(False) == 1
    assert [recorded.version for recorded in await one.read(CALL)] == list(range(1, 31))


async def test_a_transaction_that_commits_late_is_waited_for(pg_store: PostgresEventStore, database_url: str) -> None:
    follower = Follower(pg_store)
    await pg_store.append(append(CALL, "before"))
    late, watcher = await connect(database_url), await connect(database_url)
    transaction = late.transaction()
    await transaction.start()
    await append_by_hand(late, append(CALL, "late", "later"))

    waiting = asyncio.gather(pg_store.append(append(CALL, "after")), pg_store.append(append(BRIDGE, "too")))
    await waiting_for_locks(watcher, 1)
    await follower.step()
    assert notes(follower.seen) == ["before"]

    await transaction.commit()
    await waiting
    await follower.step()
    assert notes(follower.seen) == ["before", "late", "later", "after", "too"]
    await late.close()
    await watcher.close()


async def test_a_rolled_back_append_leaves_no_gap(pg_store: PostgresEventStore, database_url: str) -> None:
    follower = Follower(pg_store)
    undone = await connect(database_url)
    for number in range(3):
        transaction = undone.transaction()
        await transaction.start()
        await append_by_hand(undone, append(CALL, "undone", digest=b"undone"), append(BRIDGE, "undone", "undone"))
        await transaction.rollback()
        await pg_store.append(append(CALL, number, expected_version=number))

    await follower.step()
    assert notes(follower.seen) == [0, 1, 2]
    assert not (await pg_store.append(append(CALL, digest=b"undone"))).duplicate
    await undone.close()


@pytest.mark.parametrize(
    "lock",
    [
        "SELECT * FROM log_head FOR UPDATE",
        "SELECT * FROM streams FOR UPDATE",
        "UPDATE streams SET due_ms = 5 WHERE stream = 'call/1757840723.6'",
        "LOCK TABLE events IN SHARE MODE",
    ],
)
async def test_somebody_elses_locks_delay_but_do_not_disorder(
    pg_store: PostgresEventStore, database_url: str, lock: str
) -> None:
    follower = Follower(pg_store)
    await pg_store.append(append(CALL, "before"))
    other, watcher = await connect(database_url), await connect(database_url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(lock)

    waiting = asyncio.gather(*(pg_store.append(append(CALL, number)) for number in range(5)))
    await waiting_for_locks(watcher, 1)
    await follower.step()
    assert notes(follower.seen) == ["before"]

    await transaction.commit()
    await waiting
    await follower.step()
    assert notes(follower.seen) == ["before", 0, 1, 2, 3, 4]
    await other.close()
    await watcher.close()


@pytest.mark.parametrize("where", ["the same database", "another database"])
async def test_an_idle_transaction_holds_nobody_up(
    pg_store: PostgresEventStore, database_url: str, postgres_server: str, where: str
) -> None:
    idle = await asyncpg.connect(database_url if where == "the same database" else postgres_server)
    transaction = idle.transaction(isolation="repeatable_read")
    await transaction.start()
    # With a transaction id and a snapshot: readers that wait for the oldest running transaction stall behind it.
    await idle.execute(f"CREATE TEMPORARY TABLE idle_{uuid4().hex} ()")

    follower = Follower(pg_store)
    for number in range(10):
        await pg_store.append(append(CALL, number))
        await follower.step()
        assert len(follower.seen) == number + 1
    await transaction.rollback()
    await idle.close()


async def test_dead_row_versions_do_not_pile_up_behind_an_old_transaction(
    pg_store: PostgresEventStore, pg_pool: asyncpg.Pool, database_url: str
) -> None:
    """The row that numbers the log is locked for every batch; if it were rewritten, a long backup would slow appends down."""
    old = await connect(database_url)
    transaction = old.transaction(isolation="repeatable_read")
    await transaction.start()
    await old.fetchval("SELECT count(*) FROM events")

    for number in range(300):
        await pg_store.append(append(CALL, number))

    assert await pg_pool.fetchval("SELECT pg_relation_size('log_head')") == 8_192
    await transaction.rollback()
    await old.close()


async def test_positions_go_on_after_the_log_was_archived(pg_store: PostgresEventStore, pg_pool: asyncpg.Pool) -> None:
    await pg_store.append(append(CALL, "a", "b"))
    await pg_pool.execute("UPDATE log_head SET base = (SELECT max(position) FROM events)")
    await pg_pool.execute("DELETE FROM events")

    done = await pg_store.append(append(CALL, "c"))

    assert (done.version, done.position) == (3, 3)
    assert await pg_store.head() == 3


def test_servers_dsn_leads_elsewhere() -> None:
    assert in_database("postgresql://u@h/ms?host=%2Frun", "other") == "postgresql://u@h/other?host=%2Frun"
    assert in_database("postgresql:///ms?host=/run", "other") == "postgresql:///other?host=/run"
