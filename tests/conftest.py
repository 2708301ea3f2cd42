"""A PostgreSQL for the tests: one server per session (shared by xdist's workers), one fresh migrated database per test.

``TEST_DATABASE_URL`` names a server to use instead (a role that may create databases); otherwise the embedded one
runs with ``fsync`` off. Fixtures: ``database_url`` (a migrated database of this test's own), ``empty_database_url``
(one without any table of ours), ``pg_pool``, ``pg_store``.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
import hypothesis
import pytest

from adapters import admin_password
from adapters.embedded_postgres import embedded_postgres
from adapters.postgres.database import create_pool
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.migrations import load_migrations, migrate
from tests.databases import Databases, create_database, drop_database, in_database, prepare_template
from tests.thorough import USUAL

TEMPLATE_LOCK = 7_203_470_999
ROOM_BYTES = 4 * 1024**3
"""The databases of a run's workers, and the server's log of changes, several times over."""

# How long an example takes is the machine's affair; what is slow is measured by bench/.
hypothesis.settings.register_profile("house", deadline=None, max_examples=USUAL)
hypothesis.settings.load_profile("house")

COST_IN_SERVICE: Final = dict(admin_password.COST)
"""Of a password's key. The tests log in some hundreds of times, and take a cheaper one."""
admin_password.COST["n"] = 2**8


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests told of their runs (``tests/faults``), also when xdist's workers ran them."""
    for outcome in ("passed", "failed"):
        for each in terminalreporter.stats.get(outcome, ()):
            for name, value in each.user_properties:
                if name == "figures":
                    terminalreporter.write_line(f"{value}")


def place_for_databases(memory: Path = Path("/dev/shm")) -> Path:
    """Where the run's server lives: in memory if there is room. Thousands of databases are copied and emptied."""
    with contextlib.suppress(OSError):
        found = os.statvfs(memory)
        usable = os.access(memory, os.W_OK) and not found.f_flag & (os.ST_NOEXEC | os.ST_RDONLY)
        if usable and found.f_bavail * found.f_frsize >= ROOM_BYTES:
            return memory
    return Path(tempfile.gettempdir())


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The DSN of a server on which this run may create databases."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    folder = place_for_databases() / f"ms-test-{hashlib.sha256(run.encode()).hexdigest()[:12]}"
    with asyncio.Runner() as runner:
        server = embedded_postgres(folder, profile="tests", discard=True)
        dsn = runner.run(server.__aenter__())
        try:
            yield dsn
        finally:
            runner.run(server.__aexit__(None, None, None))
            with contextlib.suppress(OSError):  # not empty: another worker still uses it
                folder.rmdir()


@pytest.fixture(scope="session")
def template_database(postgres_server: str) -> str:
    """The name of a migrated, empty database to clone; made once for each state of ``migrations/``."""
    state = hashlib.sha256("".join(m.name + m.checksum for m in load_migrations()).encode()).hexdigest()[:12]
    name = f"ms_template_{state}"

    async def make() -> None:
        connection = await asyncpg.connect(postgres_server)
        try:
            # xdist's workers come at the same time. A template is complete once it has its final name.
            await connection.execute("SELECT pg_advisory_lock($1)", TEMPLATE_LOCK)
            if await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
                return
            raw = f"{name}_raw"
            await connection.execute(f'DROP DATABASE IF EXISTS "{raw}" WITH (FORCE)')
            await connection.execute(f'CREATE DATABASE "{raw}"')
            await migrate(in_database(postgres_server, raw))
            await prepare_template(in_database(postgres_server, raw))
            await connection.execute(f'ALTER DATABASE "{raw}" RENAME TO "{name}"')
        finally:
            await connection.close()

    asyncio.run(make())
    return name


@pytest.fixture(scope="session")
def databases(postgres_server: str, template_database: str) -> Iterator[Databases]:
    """The databases that this worker's tests take turns with."""
    databases = Databases(postgres_server, template_database)
    yield databases
    asyncio.run(databases.close())


@pytest.fixture
async def database_url(databases: Databases) -> AsyncIterator[str]:
    """A migrated database of this test's own."""
    name = await databases.lend()
    yield in_database(databases.server, name)
    await databases.take_back(name)


@pytest.fixture
async def empty_database_url(postgres_server: str) -> AsyncIterator[str]:
    """A database of this test's own that nobody has migrated yet."""
    name = f"ms_test_{uuid4().hex[:16]}"
    await create_database(postgres_server, name)
    yield in_database(postgres_server, name)
    await drop_database(postgres_server, name)


@pytest.fixture
async def pg_pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """The service's pool on this test's database."""
    pool = await create_pool(database_url, min_size=0, max_size=12)
    yield pool
    pool.terminate()


@pytest.fixture
async def pg_store(pg_pool: asyncpg.Pool, database_url: str) -> AsyncIterator[PostgresEventStore]:
    """The event store on this test's database."""
    async with PostgresEventStore(pg_pool, database_url) as store:
        yield store
