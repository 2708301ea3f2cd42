"""Group commit: what is acknowledged is there once, whatever happens to the connection; nobody pays for a neighbour."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from adapters.postgres import writer as writing
from adapters.postgres.batch import Item
from adapters.postgres.database import connect
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.writer import GroupWriter
from core.errors import AppendRefused, StoreUnavailable, VersionConflict
from core.ports import Append, Appended, encode_events
from tests.adapters.postgres.support import Follower, write
from tests.contracts.event_store import BRIDGE, CALL, append, event, notes


class Wire:
    """Opens connections whose batches can be watched and made to fail: before they are sent, or after they committed."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.opened = 0
        self.refuse: list[Exception] = []
        """What the next attempts to connect raise."""
        self.lose: list[tuple[str, Exception]] = []
        """What the next batches raise, ``before`` or ``after`` the server did them."""
        self.batches: list[int] = []
        """How many appends each batch held that the server did."""
        self.gate: asyncio.Event | None = None
        self.reached = asyncio.Event()

    async def connect(self) -> Any:
        if self.refuse:
            raise self.refuse.pop(0)
        self.opened += 1
        return _Connection(await connect(self._dsn), self)


class _Connection:
    def __init__(self, real: Any, wire: Wire) -> None:
        self._real = real
        self._wire = wire

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def prepare(self, sql: str) -> _Statement:
        return _Statement(await self._real.prepare(sql), self._wire)


class _Statement:
    def __init__(self, real: Any, wire: Wire) -> None:
        self._real = real
        self._wire = wire

    async def fetchrow(self, *args: Any) -> Any:
        wire = self._wire
        wire.reached.set()
        if wire.gate is not None:
            await wire.gate.wait()
        when, error = wire.lose.pop(0) if wire.lose else ("", Exception())
        if when == "before":
            raise error
        row = await self._real.fetchrow(*args)
        wire.batches.append(len(row["outcome"]))
        if when == "after":
            raise error
        return row


@pytest.fixture
def wire(database_url: str) -> Wire:
    return Wire(database_url)


@pytest.fixture
async def writer(wire: Wire) -> Any:
    made = GroupWriter(wire.connect, patience_s=5.0, committed=lambda items, results: None)
    yield made
    await made.close()


async def put(writer: GroupWriter, *appends: Append) -> list[Appended | VersionConflict]:
    return await writer.write(tuple(Item(append=each, data=encode_events(each)) for each in appends))


LOST = [
    asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.InterfaceError("connection is closed"),
    ConnectionResetError(104, "Connection reset by peer"),
    TimeoutError(),
    asyncpg.DiskFullError("could not extend file"),
    asyncpg.OutOfMemoryError("out of memory"),
    asyncpg.CrashShutdownError("terminating connection because of crash of another server process"),
    asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
]


@pytest.mark.parametrize("error", LOST, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_batch_whose_commit_is_unknown_is_repeated_without_doubling(
    writer: GroupWriter, wire: Wire, pg_store: PostgresEventStore, when: str, error: Exception
) -> None:
    wire.lose = [(when, error)] * 2
    plain, signal, decided = append(CALL, "plain", "more"), append(BRIDGE, digest=b"d"), append(CALL, expected_version=2)

    results = await put(writer, plain, signal, decided)

    assert results == [
        Appended(stream=CALL, version=2, position=2),
        Appended(stream=BRIDGE, version=1, position=3),
        Appended(stream=CALL, version=3, position=4),
    ]
    assert await pg_store.head() == 4
    assert wire.opened == 3


async def test_a_repeat_by_the_caller_is_told_as_duplicate_even_if_a_batch_was_lost(writer: GroupWriter, wire: Wire) -> None:
    same = append(CALL, "same", digest=b"d")
    await put(writer, same)
    wire.lose = [("before", asyncpg.InterfaceError("connection is closed"))]

    (other,) = await put(writer, append(CALL, "other", digest=b"d"))

    assert other == Appended(stream=CALL, version=1, position=1, duplicate=True)


async def test_callers_share_commits(writer: GroupWriter, wire: Wire) -> None:
    wire.gate = asyncio.Event()
    first = asyncio.ensure_future(put(writer, append(CALL, "first")))
    await wire.reached.wait()
    rest = asyncio.gather(*(put(writer, append(CALL, number)) for number in range(50)))
    await asyncio.sleep(0)
    wire.gate.set()

    await first
    await rest

    assert wire.batches == [1, 50]


async def test_batches_are_bounded(writer: GroupWriter, wire: Wire) -> None:
    await asyncio.gather(*(put(writer, append(CALL, number)) for number in range(1_200)))
    assert wire.batches == [500, 500, 200]

    wire.batches.clear()
    megabyte = "x" * 1_000_000
    await asyncio.gather(*(put(writer, append(CALL, megabyte)) for _ in range(9)))
    assert wire.batches == [4, 4, 1]


async def test_what_the_server_refuses_is_isolated(writer: GroupWriter, wire: Wire, pg_store: PostgresEventStore) -> None:
    known = event("known")
    await put(writer, Append(stream=CALL, events=(known,)))
    poison = Append(stream=BRIDGE, events=(event("new"), known))
    wire.batches.clear()

    results = await asyncio.gather(
        *(put(writer, poison if number in (13, 40) else append(CALL, number)) for number in range(64)),
        return_exceptions=True,
    )

    assert [number for number, result in enumerate(results) if isinstance(result, AppendRefused)] == [13, 40]
    assert notes(await pg_store.read(CALL))[1:] == [number for number in range(64) if number not in (13, 40)]
    assert len(wire.batches) < 15
    assert await pg_store.head() == 63


async def test_many_appends_of_one_caller_are_refused_together(writer: GroupWriter, pg_store: PostgresEventStore) -> None:
    known = event("known")
    await put(writer, Append(stream=CALL, events=(known,)))
    poison = Append(stream=BRIDGE, events=(event("new"), known))

    results = await asyncio.gather(
        put(writer, append(CALL, "a"), poison, append(CALL, "b")), put(writer, append(CALL, "c")), return_exceptions=True
    )

    assert isinstance(results[0], AppendRefused)
    assert results[1] == [Appended(stream=CALL, version=2, position=2)]
    assert notes(await pg_store.read_log(0, 10)) == ["known", "c"]


async def test_a_database_that_comes_back_in_time_is_waited_for(writer: GroupWriter, wire: Wire) -> None:
    wire.refuse = [
        ConnectionRefusedError(111, "Connection refused"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
    ]

    assert await put(writer, append(CALL, "a")) == [Appended(stream=CALL, version=1, position=1)]


async def test_patience_ends(wire: Wire) -> None:
    writer = GroupWriter(wire.connect, patience_s=0.2, committed=lambda items, results: None)
    wire.refuse = [ConnectionRefusedError(111, "Connection refused")] * 1_000
    loop = asyncio.get_running_loop()
    began = loop.time()

    results = await asyncio.gather(*(put(writer, append(CALL)) for _ in range(3)), return_exceptions=True)

    assert all(isinstance(result, StoreUnavailable) for result in results)
    assert "nobody listens there" in str(results[0])
    assert loop.time() - began < 2.0
    wire.refuse.clear()
    assert await put(writer, append(CALL)) == [Appended(stream=CALL, version=1, position=1)]
    await writer.close()


async def test_patience_ends_while_the_server_is_silent(wire: Wire) -> None:
    writer = GroupWriter(wire.connect, patience_s=0.2, committed=lambda items, results: None)
    wire.gate = asyncio.Event()
    with pytest.raises(StoreUnavailable, match="no answer in time"):
        await put(writer, append(CALL))
    wire.gate.set()
    assert await put(writer, append(CALL)) == [Appended(stream=CALL, version=1, position=1)]
    await writer.close()


async def test_the_queue_is_bounded(writer: GroupWriter, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MAX_QUEUED_ITEMS", 3)
    wire.gate = asyncio.Event()
    accepted = [asyncio.ensure_future(put(writer, append(CALL, 0)))]
    await wire.reached.wait()
    accepted += [asyncio.ensure_future(put(writer, append(CALL, number))) for number in (1, 2, 3)]
    await asyncio.sleep(0)

    with pytest.raises(StoreUnavailable, match="too many appends"):
        await put(writer, append(CALL, 4))
    wire.gate.set()
    await asyncio.gather(*accepted)
    await put(writer, append(CALL, 5))


async def test_a_caller_that_left_before_its_turn_is_not_recorded(
    writer: GroupWriter, wire: Wire, pg_store: PostgresEventStore
) -> None:
    wire.gate = asyncio.Event()
    stays = asyncio.ensure_future(put(writer, append(CALL, "stays")))
    await wire.reached.wait()
    leaves = asyncio.ensure_future(put(writer, append(CALL, "leaves")))
    await asyncio.sleep(0)
    leaves.cancel()
    wire.gate.set()
    await stays
    await put(writer, append(CALL, "last"))

    assert notes(await pg_store.read(CALL)) == ["stays", "last"]


async def test_closing_commits_what_was_accepted_and_refuses_the_rest(
    writer: GroupWriter, wire: Wire, pg_store: PostgresEventStore
) -> None:
    wire.gate = asyncio.Event()
    accepted = [asyncio.ensure_future(put(writer, append(CALL, number))) for number in range(3)]
    await wire.reached.wait()
    closing = asyncio.ensure_future(writer.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="closed"):
        await put(writer, append(CALL, "late"))
    wire.gate.set()
    await closing

    assert all(task.done() and task.exception() is None for task in accepted)
    assert notes(await pg_store.read(CALL)) == [0, 1, 2]


async def test_a_bug_costs_the_batch_that_met_it(writer: GroupWriter, wire: Wire, pg_store: PostgresEventStore) -> None:
    wire.lose = [("before", RuntimeError("a bug"))]
    with pytest.raises(StoreUnavailable):
        await put(writer, append(CALL, "unlucky"))

    await put(writer, append(CALL, "next"))

    assert notes(await pg_store.read(CALL)) == ["next"]


@pytest.mark.parametrize("kill", ["SELECT pg_terminate_backend(pid)", "SELECT pg_cancel_backend(pid)"])
@pytest.mark.slow
async def test_killed_back_ends_lose_nothing_acknowledged_and_double_nothing(
    pg_pool: asyncpg.Pool, database_url: str, kill: str
) -> None:
    killer = await asyncpg.connect(database_url)
    acknowledged = kills = 0

    async def after_each() -> None:
        nonlocal acknowledged, kills
        acknowledged += 1
        if acknowledged % 20 == 0:
            # Every writer, whatever it is doing at this very moment: mostly in the middle of a batch.
            kills += len(
                await killer.fetch(
                    f"{kill} FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%append_batch%'"
                    " AND pid <> pg_backend_pid()"
                )
            )

    lock = asyncio.Lock()

    async def one_at_a_time() -> None:
        async with lock:
            await after_each()

    async with PostgresEventStore(pg_pool, database_url) as one, PostgresEventStore(pg_pool, database_url) as two:
        follower = Follower(PostgresEventStore(pg_pool, database_url))
        writers = asyncio.gather(*(write((one, two)[n % 2], n, 50, one_at_a_time) for n in range(16)))
        await follower.follow(writers.done)
        results: list[list[Appended]] = await writers
    await killer.close()

    assert kills >= 40
    recorded = notes(follower.seen)
    assert len(recorded) == len(set(recorded))
    assert set(recorded) == {f"{w}-{n}-{nth}" for w in range(16) for n in range(50) for nth in range(1 + n % 3)}
    for writer, appended in enumerate(results):
        for number, done in enumerate(appended):
            assert not done.duplicate
            assert recorded[done.position - 1] == f"{writer}-{number}-{number % 3}"


