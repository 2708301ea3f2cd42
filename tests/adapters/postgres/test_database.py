"""The way to PostgreSQL: codecs, waiting for a server that is not there, errors in words without secrets."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from adapters.postgres import database
from adapters.postgres.database import (
    CANCEL_S,
    NETWORK_S,
    TRANSACTION_S,
    close_pool,
    connect,
    create_pool,
    describe,
    each_host,
    explain,
    is_poison,
    limit_transaction,
    load_sql,
    wait_for_database,
)
from adapters.postgres.event_store import PostgresEventStore
from core.errors import StoreUnavailable
from tests.adapters.postgres.support import Relay, over_tcp, relay_to, socket_path
from tests.contracts.event_store import CALL, append

VALUES: list[Any] = [{"a": [1, None, "я"]}, [], "text", 5, None, True]


@pytest.mark.parametrize("kind", ["json", "jsonb"])
async def test_json_columns_come_parsed(pg_pool: asyncpg.Pool, kind: str) -> None:
    for value in VALUES:
        assert await pg_pool.fetchval(f"SELECT $1::{kind}", value) == value
        assert await pg_pool.fetchval(f"SELECT $1::text::{kind}", '{"a": 1}') == {"a": 1}
    assert await pg_pool.fetchval(f"SELECT $1::{kind}[]", [{"a": 1}, {"b": 2}]) == [{"a": 1}, {"b": 2}]


async def test_what_an_array_is_made_of_is_asked_once_for_all_connections_and_own_types_each_time(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[int]] = []
    original = asyncpg.Connection._introspect_types

    async def counted(self: Any, typeoids: Any, timeout: Any) -> Any:
        asked.append(set(typeoids))
        return await original(self, typeoids, timeout)

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", counted)
    monkeypatch.setattr(database, "_KNOWN_TYPES", {})
    for _ in range(3):
        connection = await connect(database_url)
        assert await connection.fetchval("SELECT $1::text[] || 'c'::text", ["a", "b"]) == ["a", "b", "c"]
        assert await connection.fetchrow("SELECT $1::uuid[], $2::bigint[]", [], [1, None]) == ([], [1, None])
        assert await connection.fetchval("SELECT $1::jsonb[]", [{"a": 1}, None]) == [{"a": 1}, None]
        await connection.close()
    assert len(asked) == 2, "an array of text is known to asyncpg; of the others, each statement's once"
    for _ in range(2):  # the same number may be another type after a migration, and in another database
        connection = await connect(database_url)
        await connection.execute("CREATE TYPE ms.pair AS (one bigint, two text)")
        assert await connection.fetchval("SELECT (1, 'я')::ms.pair") == (1, "я")
        await connection.execute("DROP TYPE ms.pair")
        await connection.close()
    assert len(asked) == 4


async def test_sessions_have_limits_and_our_schema(database_url: str) -> None:
    connection = await connect(database_url)
    for setting, value in {
        "search_path": "ms, public",
        "default_transaction_isolation": "read committed",
        "idle_in_transaction_session_timeout": "5s",
        "lock_timeout": "5s",
        "statement_timeout": "1min",
        "synchronous_commit": "on",
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
    dsn = over_tcp(database_url, port)
    name = urlsplit(dsn).path
    told: asyncio.Queue[str] = asyncio.Queue()
    relay = Relay(await socket_path(database_url))

    waiting = asyncio.ensure_future(wait_for_database(dsn, told.put_nowait))
    first = await asyncio.wait_for(told.get(), 10)
    assert first == f"waiting for PostgreSQL at 127.0.0.1:{port}{name}: nobody listens there"

    listener.close()
    server = await asyncio.start_server(relay.connected, "127.0.0.1", port)
    await asyncio.wait_for(waiting, 10)
    assert told.get_nowait() == f"PostgreSQL at 127.0.0.1:{port}{name} answers"
    server.close()


async def test_waiting_has_an_end_for_a_person(database_url: str) -> None:
    told: list[str] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        dsn = over_tcp(database_url, listener.getsockname()[1])
        with pytest.raises(StoreUnavailable) as ended:
            await wait_for_database(dsn, told.append, within_s=0.0)
    where = told[0].removeprefix("waiting for ").partition(": ")[0]
    assert ended.value.args == (f"{where} does not answer", "start it, or correct DATABASE_URL")


async def test_a_host_that_never_answers_does_not_keep_us_from_the_next(database_url: str) -> None:
    """It accepts and says nothing, as one that was stopped: each attempt begins where the last one ended."""
    async with relay_to(database_url) as (silent, _), relay_to(database_url) as (good, _):
        silent.block()
        dsn = over_tcp(database_url, good.port, host=f"127.0.0.1:{silent.port},127.0.0.1")

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connect(dsn), 0.2)  # a caller that has less patience than a host is given
        for _ in range(2):
            connection = await asyncio.wait_for(connect(dsn), 10)
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()

        assert (silent.accepted, good.accepted) == (1, 2)


async def test_a_server_that_hangs_keeps_nobody_beyond_his_patience(database_url: str) -> None:
    async with relay_to(database_url) as (relay, dsn):
        pool = await create_pool(dsn, min_size=0, max_size=1)
        async with PostgresEventStore(pool, dsn, patience_s=0.3) as store:
            assert await store.read(CALL) == []
            relay.block()
            started = time.monotonic()
            with pytest.raises(StoreUnavailable, match="no answer in time"):
                await store.read(CALL)
            with pytest.raises(StoreUnavailable, match="no answer in time"):
                await store.append(append(CALL))
            assert time.monotonic() - started < CANCEL_S, "that the statement is cancelled is not waited for"
            relay.unblock()
        pool.terminate()


async def test_a_connection_that_hangs_is_given_up_for_a_new_one(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CANCEL_S", 0.1)
    async with relay_to(database_url) as (relay, dsn):
        pool = await create_pool(dsn, min_size=0, max_size=1)
        patient, hasty = (PostgresEventStore(pool, dsn, patience_s=each) for each in (20, 0.1))
        assert await patient.read(CALL) == []
        relay.cut()
        with pytest.raises(StoreUnavailable):
            await hasty.read(CALL)

        assert await patient.read(CALL) == []
        pool.terminate()


async def test_a_server_that_hangs_does_not_keep_us_from_ending(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CLOSE_S", 0.1)
    async with relay_to(database_url) as (relay, dsn):
        pool = await create_pool(dsn, min_size=1, max_size=1)
        relay.block()
        async with asyncio.timeout(5):
            await close_pool(pool)
        relay.unblock()
    pool = await create_pool(database_url)
    await close_pool(pool)
    with pytest.raises(asyncpg.InterfaceError):
        await pool.fetchval("SELECT 1")


async def test_a_cut_network_is_noticed_on_both_sides(database_url: str) -> None:
    async with relay_to(database_url) as (_, dsn):
        connection = await connect(dsn)
        sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == NETWORK_S * 1_000
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) + NETWORK_S // 2 == NETWORK_S
        assert await connection.fetchval("SHOW client_connection_check_interval") == "1s"
        await connection.close()


async def test_a_transaction_whose_client_was_stopped_lets_go_of_its_locks(database_url: str, pg_store: PostgresEventStore) -> None:
    """What the server does once a client says nothing more in mid-transaction (an instance that was sent SIGSTOP)."""
    stopped = await connect(database_url, idle_in_transaction_session_timeout="50")
    await pg_store.append(append(CALL))
    transaction = stopped.transaction()
    await transaction.start()
    await stopped.execute("SELECT * FROM streams FOR UPDATE")

    await pg_store.append(append(CALL))

    assert len(await pg_store.read(CALL)) == 2
    stopped.terminate()


async def test_so_does_one_that_was_stopped_while_it_prepared_a_statement(
    pg_pool: asyncpg.Pool, pg_store: PostgresEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``prepare`` is the first of two steps: the server waits for the other one, and calls it a statement under way."""
    monkeypatch.setattr(database, "TRANSACTION_S", 0.05)
    await pg_store.append(append(CALL))
    async with pg_pool.acquire() as stopped:
        transaction = stopped.transaction()
        await transaction.start()
        await stopped.execute("SELECT * FROM streams FOR UPDATE")
        await stopped.prepare("SELECT 8023")

        await pg_store.append(append(CALL))

        assert len(await pg_store.read(CALL)) == 2


async def test_only_whole_transactions_of_the_pool_have_a_limit(pg_pool: asyncpg.Pool) -> None:
    """A statement alone may take as long as it is allowed to."""
    async with pg_pool.acquire() as connection:
        async with connection.transaction():
            assert await connection.fetchval("SHOW transaction_timeout") == f"{TRANSACTION_S:.0f}s"
            async with connection.transaction():
                assert await connection.fetchval("SHOW transaction_timeout") == f"{TRANSACTION_S:.0f}s"
        assert await connection.fetchval("SHOW transaction_timeout") == "0"


async def test_a_server_that_is_too_old_for_a_limit_works_without(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "TRANSACTION_TIMEOUT_SINCE", 99)
    pool = await create_pool(database_url)
    async with pool.acquire() as connection, connection.transaction():
        await limit_transaction(connection, 1.0)
        assert await connection.fetchval("SHOW transaction_timeout") == "0"
    await close_pool(pool)


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
    ("dsn", "hosts"),
    [
        ("postgresql://u:p@db/ms", ["postgresql://u:p@db/ms"]),
        (
            "postgresql://u:p@one:5433,two/ms?sslmode=require",
            [
                "postgresql://u:p@one:5433/ms?target_session_attrs=read-write&sslmode=require",
                "postgresql://u:p@two/ms?target_session_attrs=read-write&sslmode=require",
            ],
        ),
        (
            "postgresql://u@/ms?host=one,two&port=1,2&target_session_attrs=any",
            [
                "postgresql://u@/ms?target_session_attrs=any&host=one&port=1",
                "postgresql://u@/ms?target_session_attrs=any&host=two&port=2",
            ],
        ),
        (
            "postgresql:///ms?host=%2Frun%2Fa,%2Frun%2Fb&port=5433",
            [
                "postgresql:///ms?target_session_attrs=read-write&host=%2Frun%2Fa&port=5433",
                "postgresql:///ms?target_session_attrs=read-write&host=%2Frun%2Fb&port=5433",
            ],
        ),
    ],
)
def test_each_host_has_an_address_of_its_own(dsn: str, hosts: list[str]) -> None:
    assert each_host(dsn) == hosts


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (asyncpg.CannotConnectNowError("the database system is starting up"), "it is starting up or recovering"),
        (asyncpg.InvalidPasswordError('password authentication failed for user "ms"'), "28P01"),
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(111, "x"), "nobody listens there"),
        (asyncpg.DiskFullError("could not extend file"), "its disk is full"),
        (asyncpg.OutOfMemoryError("out of memory"), "out of memory (53200)"),
        (asyncpg.ReadOnlySQLTransactionError("cannot execute UPDATE"), "it accepts no writes"),
        (asyncpg.TargetServerAttributeNotMatched("None of the hosts"), "it accepts no writes"),
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
        (asyncpg.OutOfMemoryError("x"), False),
        (asyncpg.TooManyConnectionsError("x"), False),
        (asyncpg.ConfigurationLimitExceededError("x"), False),
        (asyncpg.CannotConnectNowError("x"), False),
        (asyncpg.CrashShutdownError("x"), False),
        (asyncpg.QueryCanceledError("x"), False),
        (asyncpg.ReadOnlySQLTransactionError("x"), False),
        (asyncpg.IdleInTransactionSessionTimeoutError("x"), False),
        (asyncpg.PostgresIOError("x"), False),
        (asyncpg.TargetServerAttributeNotMatched("x"), False),
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
