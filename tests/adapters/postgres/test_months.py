"""The log by months: nobody who appends, reads or follows notices where one ends, whoever makes the next, or nobody."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import asyncpg

from adapters.postgres.database import connect, load_sql
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.migrations import load_migrations, migrate
from core.errors import VersionConflict
from core.ports import Appended
from tests.contracts.event_store import BRIDGE, CALL, append, notes


def month(after: int = 0) -> date:
    """The first of a month: this one, or so many after it."""
    today = datetime.now(UTC)
    years, nth = divmod(today.month - 1 + after, 12)
    return date(today.year + years, nth + 1, 1)


def ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


async def time_passes(pool: Any, to_ms: int) -> None:
    """As if the last event had been recorded then: no later one is recorded before it."""
    await pool.execute("UPDATE events SET recorded_ms = $1 WHERE position = (SELECT last_position FROM log_end())", to_ms)
    await pool.execute("UPDATE streams SET last_ms = $1 WHERE (enterprise, stream) = (SELECT enterprise, stream FROM events"
                       " WHERE position = (SELECT last_position FROM log_end()))", to_ms)  # fmt: skip


async def where(pool: Any) -> list[tuple[str, int]]:
    """Which table holds which position."""
    rows = await pool.fetch("SELECT tableoid::regclass::text AS name, position FROM events ORDER BY position")
    return [(row["name"], row["position"]) for row in rows]


def table(day: date) -> str:
    return f"events_{day:%Y_%m}"


async def test_a_stream_goes_on_across_the_turn_of_a_month(pg_store: PostgresEventStore, pg_pool: asyncpg.Pool) -> None:
    await pg_store.append(append(CALL, "a", digest=b"signal"))
    await pg_store.append(append(CALL, "b", expected_version=1))
    await time_passes(pg_pool, ms(month(1)) + 5)

    done = await pg_store.append(append(CALL, "c", expected_version=2))
    again = await pg_store.append(append(BRIDGE, "again", digest=b"signal"))
    late = (await pg_store.append_many([append(CALL, "late", expected_version=1)]))[0]
    await pg_store.append(append(BRIDGE, "d"))

    assert done == Appended(stream=CALL, version=3, position=3)
    assert again == Appended(stream=CALL, version=1, position=1, duplicate=True)
    assert isinstance(late, VersionConflict)
    assert [name for name, _ in await where(pg_pool)] == [table(month()), table(month(1)), table(month(1)), table(month(1))]
    assert notes(await pg_store.read(CALL)) == ["a", "b", "c"]
    assert notes(await pg_store.read(CALL, 1)) == ["b", "c"]
    for after in range(5):
        assert [each.position for each in await pg_store.read_log(after, 10)] == list(range(after + 1, 5))
    assert await pg_store.head() == 4


async def test_the_very_same_append_is_known_across_the_turn(pg_store: PostgresEventStore, pg_pool: asyncpg.Pool) -> None:
    same = append(CALL, "a", "b", expected_version=0)
    first = await pg_store.append(same)
    await pg_store.append(append(BRIDGE, "x"))
    await time_passes(pg_pool, ms(month(1)) + 5)
    await pg_store.append(append(BRIDGE, "y"))

    assert await pg_store.append(same) == Appended(
        stream=CALL, version=first.version, position=first.position, duplicate=True
    )


async def test_a_month_that_nobody_made_refuses_nothing_and_is_filled_when_it_is_made(
    pg_store: PostgresEventStore, pg_pool: asyncpg.Pool
) -> None:
    await pg_store.append(append(CALL, "a", digest=b"signal"))
    await time_passes(pg_pool, ms(month(3)) + 5)
    await pg_store.append(append(CALL, "b", expected_version=1))
    assert {name for name, _ in await where(pg_pool)} == {"events_rest"}

    assert await pg_pool.fetchval("SELECT events_month($1)", month(3))
    assert not await pg_pool.fetchval("SELECT events_month($1)", month(3))

    assert {name for name, _ in await where(pg_pool)} == {table(month(3))}
    await pg_store.append(append(CALL, "c", expected_version=2))
    assert (await pg_store.append(append(BRIDGE, digest=b"signal"))).duplicate
    assert notes(await pg_store.read(CALL)) == ["a", "b", "c"]
    assert notes(await pg_store.read_log(0, 10)) == ["a", "b", "c"]


async def test_this_month_and_the_next_are_there_and_made_once(pg_pool: asyncpg.Pool) -> None:
    names = {row["month"] for row in await pg_pool.fetch("SELECT month FROM events_months")}
    assert names == {f"{month():%Y-%m}", f"{month(1):%Y-%m}"}
    assert await pg_pool.fetch(load_sql("months_make")) == []
    await pg_pool.execute(f"DROP TABLE {table(month(1))}")
    await pg_pool.execute("DELETE FROM events_months WHERE month = $1", f"{month(1):%Y-%m}")
    assert [row["month"] for row in await pg_pool.fetch(load_sql("months_make"))] == [f"{month(1):%Y-%m}"]


async def test_readers_do_not_keep_a_month_from_being_made(pg_pool: asyncpg.Pool, database_url: str) -> None:
    reader = await connect(database_url)
    await reader.execute(f"BEGIN; SELECT count(*) FROM {table(month())}")
    assert await pg_pool.fetchval("SELECT events_month($1)", month(2))
    await reader.close()


async def test_the_clock_may_go_back(pg_store: PostgresEventStore, pg_pool: asyncpg.Pool) -> None:
    """The later in the log, the later in time: whoever follows leaves out what was recorded before."""
    await pg_store.append(append(CALL, "a"))
    await time_passes(pg_pool, ms(month(1)) + 5)
    await pg_store.append(append(CALL, "b"))
    times = [each.recorded_ms for each in await pg_store.read_log(0, 10)]
    assert times == [ms(month(1)) + 5] * 2


async def test_a_log_that_rested_for_long_goes_on_where_it_ended(pg_store: PostgresEventStore, pg_pool: asyncpg.Pool) -> None:
    await pg_store.append(append(CALL, "a"))
    await pg_pool.execute("UPDATE events SET recorded_ms = 5")
    await pg_pool.execute("UPDATE streams SET first_ms = 5, last_ms = 5")
    assert await pg_store.head() == 1
    assert (await pg_store.append(append(CALL, "b", expected_version=1))).position == 2
    assert notes(await pg_store.read(CALL)) == notes(await pg_store.read_log(0, 10)) == ["a", "b"]


async def test_the_table_of_before_becomes_the_first_month_as_it_is(
    empty_database_url: str, pg_pool: asyncpg.Pool
) -> None:
    migrations = load_migrations()
    before = [each for each in migrations if each.name < "0072"]
    await migrate(empty_database_url, migrations=before)
    connection = await connect(empty_database_url)
    async with PostgresEventStore(pg_pool, empty_database_url) as old:
        await old.append(append(CALL, "old", "more", digest=b"old"))
    file = await connection.fetchval("SELECT pg_relation_filenode('ms.events')")
    await connection.execute("UPDATE events SET recorded_ms = 1000 * position")

    await migrate(empty_database_url)

    assert await connection.fetchval("SELECT pg_relation_filenode($1::regclass)", f"ms.{table(month())}") == file
    async with PostgresEventStore(pg_pool, empty_database_url) as store:
        assert await store.append(append(BRIDGE, "again", digest=b"old")) == Appended(
            stream=CALL, version=2, position=2, duplicate=True
        )
        assert (await store.append(append(CALL, "new", expected_version=2))).position == 3
    rows = await connection.fetch(load_sql("read_stream"), CALL.enterprise, CALL.name, 0)
    assert [row["data"]["note"] for row in rows] == ["old", "more", "new"]
    assert await connection.fetchval("SELECT first_ms FROM streams") == 0
    await connection.close()
