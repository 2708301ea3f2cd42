"""Bring the database to the shape this code needs: ``migrations/NNNN_name.sql`` in order, each once, each in a transaction.

Several instances may start at once: one migrates, the others wait and find nothing left to do.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from adapters.postgres.database import SCHEMA, connect

FOLDER: Final = Path(__file__).parents[2] / "migrations"
LOCK_KEY: Final = 7_203_470_001
"""Advisory lock of whoever migrates; arbitrary, but the same for all instances for ever."""

LOCK_TRY_S: Final = 0.2
LOCK_PATIENCE_S: Final = 600.0
LOCK_TRIES: Final = 6
MIGRATION_S: Final = 3_600.0
"""An index on years of events takes its time, and half of one is of no use."""

_NAME: Final = re.compile(r"\d{4}_[a-z0-9_]+\.sql")


class MigrationError(Exception):
    """The database cannot be brought to the needed shape; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file of ``migrations/``; ``checksum`` tells whether it changed after it had been applied."""

    name: str
    sql: str
    checksum: str


def load_migrations(folder: Path = FOLDER) -> list[Migration]:
    """All migrations in the order they are applied. Raises MigrationError for a name that has no place in the order."""
    migrations = []
    for path in sorted(folder.glob("*.sql")):
        if not _NAME.fullmatch(path.name):
            raise MigrationError(f"{path.name} is not called like 0001_what_it_does.sql")
        sql = path.read_text().replace("\r\n", "\n")
        migrations.append(Migration(name=path.stem, sql=sql, checksum=hashlib.sha256(sql.encode()).hexdigest()))
    numbers = [migration.name[:4] for migration in migrations]
    if len(set(numbers)) != len(numbers):
        raise MigrationError(f"two migrations have the same number: {', '.join(m.name for m in migrations)}")
    return migrations


async def migrate(
    target: str | asyncpg.Connection,
    report: Callable[[str], None] = lambda _: None,
    migrations: Sequence[Migration] | None = None,
) -> list[str]:
    """Apply what is missing and return its names. ``target`` is a DSN or a connection (not one inside a transaction).

    Raises MigrationError: a migration failed (it left nothing behind), one that had been applied was changed since,
    or another instance holds the lock for too long.
    """
    known = load_migrations() if migrations is None else migrations
    if not isinstance(target, str):
        return await _migrate(target, report, known)
    connection = await connect(target)
    try:
        return await _migrate(connection, report, known)
    finally:
        await connection.close()


async def pending(connection: asyncpg.Connection, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """The migrations that this database lacks. Raises MigrationError when an applied one was changed."""
    known = load_migrations() if migrations is None else migrations
    return _missing(known, await _applied(connection))


async def _migrate(connection: Any, report: Callable[[str], None], known: Sequence[Migration]) -> list[str]:
    if known and not _missing(known, await _applied(connection)):
        return []
    await _lock(connection, report)
    try:
        await connection.execute(f"SET statement_timeout = 0; SET search_path = {SCHEMA}, public")
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        await connection.execute(
            f"CREATE TABLE IF NOT EXISTS {SCHEMA}.schema_migrations (name text PRIMARY KEY,"
            " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = []
        for migration in _missing(known, await _applied(connection)):
            await _apply(connection, migration)
            report(f"applied migration {migration.name}")
            done.append(migration.name)
        return done
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)


async def _lock(connection: Any, report: Callable[[str], None]) -> None:
    # Not pg_advisory_lock: a waiting statement holds a snapshot, and CREATE INDEX CONCURRENTLY waits for snapshots.
    tries = int(LOCK_PATIENCE_S / LOCK_TRY_S)
    for attempt in range(tries):
        if await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
            return
        if attempt == 0:
            report("another instance is migrating the database; waiting for it")
        await asyncio.sleep(LOCK_TRY_S)
    raise MigrationError(
        f"another instance has been migrating the database for over {LOCK_PATIENCE_S:.0f} s: its log says with what; "
        "start this one again when it is done, or end it"
    )


async def _applied(connection: Any) -> dict[str, str]:
    if await connection.fetchval("SELECT to_regclass($1)", f"{SCHEMA}.schema_migrations") is None:
        return {}
    rows = await connection.fetch(f"SELECT name, checksum FROM {SCHEMA}.schema_migrations")
    return {row["name"]: row["checksum"] for row in rows}


def _missing(known: Sequence[Migration], applied: dict[str, str]) -> list[Migration]:
    changed = [m.name for m in known if m.name in applied and applied[m.name] != m.checksum]
    if changed:
        raise MigrationError(
            f"migration {', '.join(changed)} was changed after it had been applied to this database: "
            "put the file back as it was and make the change in a new migration"
        )
    return [migration for migration in known if migration.name not in applied]


async def _apply(connection: Any, migration: Migration) -> None:
    for _ in range(LOCK_TRIES):
        try:
            return await _apply_once(connection, migration)
        except asyncpg.LockNotAvailableError:
            continue  # somebody else's statement on a shared table; each try waited for lock_timeout already
    raise MigrationError(f"migration {migration.name} was undone: somebody else keeps a table of it locked; try again")


async def _apply_once(connection: Any, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql, timeout=MIGRATION_S)
            await connection.execute(
                f"INSERT INTO {SCHEMA}.schema_migrations (name, checksum) VALUES ($1, $2)",
                migration.name,
                migration.checksum,
            )
    except asyncpg.LockNotAvailableError:
        raise
    except asyncpg.PostgresError as error:
        raise MigrationError(
            f"migration {migration.name} failed and was undone: {error} ({error.sqlstate}); the database is as it was: mend what "
            "stands in its way and start again, or go on with the version before"
        ) from error
