"""The tests' own databases: whoever gets one finds what the migrations left, whatever the test before did with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from adapters.postgres.database import connect
from adapters.postgres.event_store import PostgresEventStore
from tests.contracts.event_store import CALL, append
from tests.databases import Databases, in_database


@pytest.fixture
async def own(postgres_server: str, template_database: str) -> AsyncIterator[Databases]:
    """Databases that no other test has a part in."""
    own = Databases(postgres_server, template_database)
    yield own
    await own.close()


async def content(dsn: str) -> dict[str, Any]:
    """Every row of every table, and where sequences stand."""
    connection = await connect(dsn)
    found = {}
    for (name,) in await connection.fetch(
        "SELECT oid::regclass::text FROM pg_class"
        " WHERE relkind IN ('r', 'S') AND relnamespace::regnamespace::text IN ('ms', 'public')"
    ):
        rows = await connection.fetch(f"SELECT * FROM {name}")
        found[name] = sorted(str(dict(row)) for row in rows)
    await connection.close()
    return found


async def test_what_a_test_wrote_is_gone_for_the_next(own: Databases, pg_pool: asyncpg.Pool) -> None:
    name = await own.lend()
    dsn = in_database(own.server, name)
    fresh = await content(dsn)
    async with PostgresEventStore(pg_pool, dsn) as store:
        await store.append(append(CALL, "old", digest=b"old"))
    left_open = await connect(dsn)
    await left_open.execute("DELETE FROM schema_migrations; SELECT nextval('integration_logs_id_seq')")
    assert await content(dsn) != fresh
    await own.take_back(name)
    assert left_open.is_closed() or await gone(left_open)
    assert await own.lend() == name
    assert await content(dsn) == fresh
    await own.take_back(name)


async def gone(connection: asyncpg.Connection) -> bool:
    try:
        await connection.fetchval("SELECT 1")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return True
    return False


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE ms.streams RENAME TO rivers",
        "DROP TABLE ms.audit",
        "CREATE INDEX ON ms.streams (stream)",
        "ALTER TABLE ms.streams DISABLE TRIGGER ALL",
        "REVOKE ALL ON ms.audit FROM public",
    ],
)
async def test_what_is_no_longer_as_it_was_is_not_lent_again(own: Databases, change: str) -> None:
    name = await own.lend()
    connection = await connect(in_database(own.server, name))
    await connection.execute(change)
    await connection.close()
    await own.take_back(name)
    assert await own.lend() != name
    admin = await asyncpg.connect(own.server)
    assert not await admin.fetchval("SELECT true FROM pg_database WHERE datname = $1", name)
    await admin.close()
