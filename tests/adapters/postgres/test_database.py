"""The way to PostgreSQL: codecs, waiting for a server that is not there, errors in words without secrets."""

from __future__ import annotations

import asyncio
import socket
from typing import Any
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from adapters.postgres.database import (
    connect,
    create_pool,
    describe,
    explain,
    is_poison,
    load_sql,
    wait_for_database,
)
from adapters.postgres.event_store import PostgresEventStore
from core.errors import StoreUnavailable
from tests.contracts.event_store import CALL, append

VALUES: list[Any] = [{"a": [1, None, "я"]}, [], "text", 5, None, True]


@pytest.mark.parametrize("kind", ["json", "jsonb"])
async def test_json_columns_come_parsed(pg_pool: asyncpg.Pool, kind: str) -> None:
    for value in VALUES:
        assert await pg_pool.fetchval(f"SELECT $1::{kind}", value) == value
        assert await pg_pool.fetchval(f"SELECT $1::text::{kind}", '{"a": 1}') == {"a": 1}
    assert await pg_pool.fetchval(f"SELECT $1::{kind}[]", [{"a": 1}, {"b": 2}]) == [{"a": 1}, {"b": 2}]


async def test_sessions_have_limits_and_our_schema(database_url: str) -> None:
    connection = await connect(database_url)
    for setting, value in {
        "search_path": "ms, public",
        "default_transaction_isolation": "read committed",
        "idle_in_transaction_session_timeout": "1min",
        "lock_timeout": "5s",
        "statement_timeout": "1min",
    }.items():
        assert await connection.fetchval(f"SHOW {setting}") == value
    await connection.close()


async def test_several_hosts_are_tried_in_turn(database_url: str) -> None:
    """Over sockets here: the first host answers nobody, the second is the server."""
    parts = urlsplit(database_url)
    folder = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair).get("host")
    if folder is None:
        pytest.skip("the server of TEST_DATABASE_URL is not reached by a socket")
    both = quote("/nonexistent,") + folder
    dsn = parts._replace(query=parts.query.replace(f"host={folder}", f"host={both}")).geturl()

    pool = await create_pool(dsn, min_size=0, max_size=1)
    assert await pool.fetchval("SELECT 1") == 1
    await pool.close()


async def test_waiting_for_a_server_that_comes_later(database_url: str) -> None:
    """A port that nobody listens on, later one that leads to the server."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    parts = urlsplit(database_url)
    user = parts.username or dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair).get("user", "postgres")
    dsn = f"postgresql://{user}:geheim@127.0.0.1:{port}{parts.path}"
    told: asyncio.Queue[str] = asyncio.Queue()
    server_path = await _socket_path(database_url)

    waiting = asyncio.ensure_future(wait_for_database(dsn, told.put_nowait))
    first = await asyncio.wait_for(told.get(), 10)
    assert first == f"waiting for PostgreSQL at 127.0.0.1:{port}{parts.path}: nobody listens there"

    listener.close()
    relay = await asyncio.start_server(lambda r, w: _relay(r, w, server_path), "127.0.0.1", port)
    await asyncio.wait_for(waiting, 10)
    assert told.get_nowait() == f"PostgreSQL at 127.0.0.1:{port}{parts.path} answers"
    relay.close()


async def _socket_path(database_url: str) -> str:
    connection = await asyncpg.connect(database_url)
    folder = await connection.fetchval("SHOW unix_socket_directories")
    port = await connection.fetchval("SHOW port")
    await connection.close()
    return f"{folder.split(',')[0].strip()}/.s.PGSQL.{port}"


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
    inner, outer = await asyncio.open_unix_connection(path)

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
        target.close()

    await asyncio.gather(pump(reader, outer), pump(inner, writer), return_exceptions=True)


async def test_an_address_that_cannot_be_understood_is_not_waited_for() -> None:
    with pytest.raises(ValueError, match="not understood"):
        await wait_for_database("mysql://somewhere/ms", lambda _: None)


async def test_a_server_that_answers_at_once_is_not_reported(database_url: str) -> None:
    told: list[str] = []
    await wait_for_database(database_url, told.append)
    assert told == []


async def test_reads_of_a_database_that_is_away_end_with_patience(pg_pool: asyncpg.Pool, database_url: str) -> None:
    store = PostgresEventStore(pg_pool, database_url, patience_s=0.2)
    await pg_pool.execute("ALTER TABLE events RENAME TO gone")
    for reading in (store.read(CALL), store.read_log(0, 1), store.head()):
        with pytest.raises(StoreUnavailable):
            await reading
    await pg_pool.execute("ALTER TABLE gone RENAME TO events")
    assert await store.read(CALL) == []


async def test_reads_survive_killed_connections(pg_pool: asyncpg.Pool, pg_store: PostgresEventStore, database_url: str) -> None:
    await pg_store.append(append(CALL, "a"))
    killer = await asyncpg.connect(database_url)
    for _ in range(5):
        await asyncio.gather(*(pg_store.read(CALL) for _ in range(5)))
        await killer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        reads = await asyncio.gather(*(pg_store.read(CALL) for _ in range(10)))
        assert all(len(events) == 1 for events in reads)
    await killer.close()


@pytest.mark.parametrize(
    ("dsn", "where"),
    [
        ("postgresql://user:secret@db.example:5432/ms", "db.example:5432/ms"),
        ("postgresql://user:se%40cret@one,two:5433/ms?target_session_attrs=primary", "one,two:5433/ms"),
        ("postgresql:///ms?host=%2Frun%2Fpg&password=secret", "the local socket/ms"),
    ],
)
def test_where_a_dsn_leads_is_told_without_secrets(dsn: str, where: str) -> None:
    assert describe(dsn) == where
    assert "secret" not in describe(dsn)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (asyncpg.CannotConnectNowError("the database system is starting up"), "it is starting up or recovering"),
        (asyncpg.InvalidPasswordError('password authentication failed for user "ms"'), "28P01"),
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "x"), "nobody listens there"),
        (FileNotFoundError(2, "No such file or directory"), "No such file or directory"),
        (asyncpg.InternalClientError("cannot switch to state 15"), "the connection was lost (InternalClientError)"),
    ],
    ids=lambda value: "",
)
def test_errors_are_told_in_words(error: Exception, words: str) -> None:
    assert words in explain(error)


@pytest.mark.parametrize(
    ("error", "poison"),
    [
        (asyncpg.UniqueViolationError("x"), True),
        (asyncpg.CharacterNotInRepertoireError("x"), True),
        (asyncpg.ProgramLimitExceededError("x"), True),
        (asyncpg.AdminShutdownError("x"), False),
        (asyncpg.DiskFullError("x"), False),
        (asyncpg.LockNotAvailableError("x"), False),
        (asyncpg.UndefinedFunctionError("x"), False),
        (asyncpg.InternalClientError("x"), False),
        (ConnectionResetError(), False),
    ],
    ids=lambda value: getattr(type(value), "__name__", ""),
)
def test_only_values_are_blamed_for_what_values_did(error: Exception, poison: bool) -> None:
    assert is_poison(error) is poison


def test_every_query_is_a_file() -> None:
    assert "append_batch" in load_sql("append_batch")
    with pytest.raises(FileNotFoundError):
        load_sql("unknown")
