"""Migrations: any number of instances, any starting point, one and the same schema."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from adapters.postgres.database import connect
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.migrations import FOLDER, LOCK_KEY, Migration, MigrationError, load_migrations, migrate, pending
from tests.contracts.event_store import CALL, append

COLUMNS = """
SELECT c.table_schema, c.table_name, c.column_name, c.data_type, c.is_nullable, c.column_default, c.collation_name
FROM information_schema.columns c WHERE c.table_schema IN ('ms', 'public') ORDER BY 1, 2, 3
"""
INDEXES = "SELECT schemaname, indexname, indexdef FROM pg_indexes WHERE schemaname IN ('ms', 'public') ORDER BY 1, 2"
CONSTRAINTS = """
SELECT n.nspname, conname, pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
WHERE n.nspname IN ('ms', 'public') ORDER BY 1, 2
"""
FUNCTIONS = """
SELECT p.proname, pg_get_functiondef(p.oid) FROM pg_proc p WHERE p.pronamespace = 'ms'::regnamespace ORDER BY 1, 2
"""
DISPATCHERS_TABLES = """
CREATE TABLE enterprises (number varchar(10) PRIMARY KEY, name varchar(255), secret varchar(64), integrations_config jsonb,
    host varchar(64));
INSERT INTO enterprises VALUES ('0367', 'Ромашка', 'token', '{"smart": {"primary": "uon"}}', 'pbx1');
CREATE TABLE integration_logs (id serial PRIMARY KEY, enterprise_number varchar(10), integration_type varchar(32),
    event_type varchar(64), request_data jsonb, response_data jsonb, status varchar(16), error_message text,
    created_at timestamp DEFAULT now());
INSERT INTO integration_logs (enterprise_number, integration_type, event_type, status) VALUES ('0367', 'uon', 'dial', 'success');
CREATE TABLE calls (id serial PRIMARY KEY);
CREATE TABLE events (id serial PRIMARY KEY);
"""


def migration(name: str, sql: str) -> Migration:
    return Migration(name=name, sql=sql, checksum=hashlib.sha256(sql.encode()).hexdigest())


async def schema(url: str) -> list[Any]:
    """Everything that makes up the schema, without data."""
    connection = await connect(url)
    found = [
        [tuple(row) for row in await connection.fetch(query)] for query in (COLUMNS, INDEXES, CONSTRAINTS, FUNCTIONS)
    ]
    await connection.close()
    return found


async def test_one_by_one_with_data_in_between_is_the_same_as_all_at_once(
    empty_database_url: str, database_url: str, pg_pool: asyncpg.Pool
) -> None:
    migrations = load_migrations()
    for count in range(1, len(migrations) + 1):
        assert await migrate(empty_database_url, migrations=migrations[:count]) == [migrations[count - 1].name]
        if count == 2:
            async with PostgresEventStore(pg_pool, empty_database_url) as store:
                await store.append(append(CALL, "old", digest=b"old"))

    assert await schema(empty_database_url) == await schema(database_url)
    connection = await connect(empty_database_url)
    assert await connection.fetchval("SELECT data FROM events") == {"note": "old"}
    assert await pending(connection) == []
    await connection.close()


async def test_what_was_parked_before_keeps_its_reason_and_gets_its_remedy_apart(empty_database_url: str) -> None:
    migrations = load_migrations()
    upto = [each.name for each in migrations].index("0030_parked")
    await migrate(empty_database_url, migrations=migrations[:upto])
    connection = await connect(empty_database_url)
    refusals = [("a", "no key", "enter it", 1056), ("b", "gone", "", None), ("c", "no key", "enter it", 1056)]
    parked = {"a": "no key enter it", "b": "gone", "c": "whether MoySklad has the call cannot be found out: no key"}
    for position, (call, error, remedy, code) in enumerate(refusals, start=1):
        for version, at_ms in ((1, 100), (2, 200)):
            await connection.execute(
                "INSERT INTO events (enterprise, stream, version, position, id, type, schema, data, recorded_ms)"
                " VALUES ('0367', 'call/' || $1, $2, $3, gen_random_uuid(), 'effect_refused', 1, $4, 0)",
                call,
                version,
                position * 10 + version,
                {"at_ms": at_ms, "error": error if version == 2 else "earlier", "remedy": remedy, "code": code},
            )
        await _old_row(connection, call, parked[call])
    await _old_row(connection, "fine", "")

    await migrate(connection)

    rows = await connection.fetch("SELECT call, parked, remedy, parked_ms, parked_code FROM calls ORDER BY call")
    assert [tuple(row) for row in rows] == [
        ("a", "no key", "enter it", 200, 1056),
        ("b", "gone", "", 200, None),
        ("c", parked["c"], "enter it", 200, 1056),
        ("fine", "", "", None, None),
    ]
    await connection.close()


async def _old_row(connection: asyncpg.Connection, call: str, parked: str) -> None:
    await connection.execute(
        "INSERT INTO calls (enterprise, call, version, phase, direction, number, digits, extensions, extension, started_ms,"
        " talk_ms, open_cards, failures, parked) VALUES ('0367', $1, 2, 'settled', 'in', '', '', '{}', '', 0, 0, 0, 1, $2)",
        call,
        parked,
    )


async def test_hours_of_before_know_how_many_talks_their_calls_had(empty_database_url: str) -> None:
    migrations = load_migrations()
    upto = [each.name for each in migrations].index("0080_talks")
    await migrate(empty_database_url, migrations=migrations[:upto])
    connection = await connect(empty_database_url)
    calls = [
        ("both heard", 0, "answered", 30),
        ("dial lost", 3_599_999, "answered", 30),
        ("not heard", 9, "answered", 0),
        ("missed", 9, "missed", 0),
        ("next hour", 3_600_000, "answered", 9),
        ("selftest-1", 7, "answered", 8),
        ("goes on", 2, None, 7),
    ]
    for told in calls:
        await _old_row(connection, told[0], "")
        await connection.execute("UPDATE calls SET started_ms = $2, outcome = $3, talk_ms = $4 WHERE call = $1", *told)
    archived = (7_200_000, "answered", 4, 90, 3)  # the search has its calls no more
    hours = [(0, "answered", 3, 60, 1), (0, "missed", 1, 0, 2), (3_600_000, "answered", 1, 9, 0), archived]
    await connection.executemany("INSERT INTO statistics_calls VALUES ('0367', $1, 'in', $2, $3, $4, $5, 0)", hours)

    await migrate(connection)

    rows = await connection.fetch("SELECT hour_ms, outcome, talks FROM statistics_calls ORDER BY 1, 2")
    assert [tuple(row) for row in rows] == [
        (0, "answered", 2),
        (0, "missed", 0),
        (3_600_000, "answered", 1),
        (7_200_000, "answered", 3),
    ]
    await connection.close()


async def test_migrating_twice_does_nothing(database_url: str) -> None:
    told: list[str] = []

    assert await migrate(database_url, told.append) == []
    assert told == []


async def test_several_migrators_at_once(empty_database_url: str, database_url: str) -> None:
    done = await asyncio.gather(*(migrate(empty_database_url) for _ in range(6)))

    assert sorted(name for names in done for name in names) == [each.name for each in load_migrations()]
    assert await schema(empty_database_url) == await schema(database_url)


async def test_a_migrator_waits_for_another_and_says_so(empty_database_url: str) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    other = await connect(empty_database_url)
    await other.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)

    waiting = asyncio.ensure_future(migrate(empty_database_url, told.put_nowait))
    assert await asyncio.wait_for(told.get(), 10) == "another instance is migrating the database; waiting for it"
    await other.close()

    assert await waiting == [each.name for each in load_migrations()]


async def test_an_index_built_concurrently_does_not_deadlock_with_a_waiting_migrator(database_url: str) -> None:
    """DEPENDENCIES, traps: a migrator that waits inside pg_advisory_lock holds a snapshot for the index to wait for."""
    told: asyncio.Queue[str] = asyncio.Queue()
    busy = await connect(database_url)
    await busy.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
    more = [*load_migrations(), migration("9999_more", "CREATE TABLE more (id integer)")]
    waiting = asyncio.ensure_future(migrate(database_url, told.put_nowait, more))
    await asyncio.wait_for(told.get(), 10)

    await asyncio.wait_for(busy.execute("CREATE INDEX CONCURRENTLY streams_version ON streams (version)"), 20)
    await busy.close()

    assert await waiting == ["9999_more"]


async def test_beside_the_dispatchers_tables(empty_database_url: str) -> None:
    """Its rows stay, its tables of the same names as ours stay, and the old query still works (PRODUCT F5)."""
    dispatcher = await asyncpg.connect(empty_database_url)
    await dispatcher.execute(DISPATCHERS_TABLES)

    await migrate(empty_database_url)

    row = await dispatcher.fetchrow(
        "SELECT * FROM integration_logs WHERE integration_type = 'uon' ORDER BY created_at DESC LIMIT 50"
    )
    assert (row["event_type"], row["ms_position"]) == ("dial", None)
    assert await dispatcher.fetchval("SELECT integrations_config FROM enterprises") == '{"smart": {"primary": "uon"}}'
    assert await dispatcher.fetchval("SELECT count(*) FROM public.calls") == 0
    await dispatcher.execute("INSERT INTO integration_logs (enterprise_number, ms_position) VALUES ('1', 7), ('1', NULL)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await dispatcher.execute("INSERT INTO integration_logs (enterprise_number, ms_position) VALUES ('1', 7)")
    await dispatcher.close()


async def test_a_changed_migration_is_refused_in_words(database_url: str) -> None:
    changed = load_migrations()
    changed[0] = replace(changed[0], checksum="0" * 64)

    with pytest.raises(MigrationError, match=r"0001_event_log was changed after .* in a new migration"):
        await migrate(database_url, migrations=changed)


async def test_a_failing_migration_leaves_nothing_behind(empty_database_url: str) -> None:
    good = migration("0001_good", "CREATE TABLE good (id integer)")
    bad = migration("0002_bad", "CREATE TABLE half (id integer); SELECT 1 / 0;")

    with pytest.raises(MigrationError, match="0002_bad failed and was undone: division by zero"):
        await migrate(empty_database_url, migrations=[good, bad])

    fixed = migration("0002_bad", "CREATE TABLE half (id bigint)")
    assert await migrate(empty_database_url, migrations=[good, fixed]) == ["0002_bad"]


async def test_a_migration_that_arrives_late_is_applied(empty_database_url: str) -> None:
    first, second = migration("0001_a", "CREATE TABLE a ()"), migration("0002_b", "CREATE TABLE b ()")
    await migrate(empty_database_url, migrations=[second])

    assert await migrate(empty_database_url, migrations=[first, second]) == ["0001_a"]


async def test_a_connection_may_be_given(empty_database_url: str) -> None:
    connection = await connect(empty_database_url)

    assert await migrate(connection) == [each.name for each in load_migrations()]
    assert await connection.fetchval("SELECT count(*) FROM events") == 0
    await connection.close()


def test_names_tell_the_order(tmp_path: Path) -> None:
    (tmp_path / "0002_b.sql").write_text("b")
    (tmp_path / "0001_a.sql").write_text("a\r\n")
    assert [(each.name, each.sql) for each in load_migrations(tmp_path)] == [("0001_a", "a\n"), ("0002_b", "b")]

    (tmp_path / "0002_c.sql").write_text("c")
    with pytest.raises(MigrationError, match="same number"):
        load_migrations(tmp_path)
    (tmp_path / "0002_c.sql").unlink()

    (tmp_path / "later.sql").write_text("c")
    with pytest.raises(MigrationError, match=r"later\.sql"):
        load_migrations(tmp_path)


def test_our_own_migrations_are_found() -> None:
    assert FOLDER.name == "migrations"
    assert load_migrations()[0].name == "0001_event_log"
