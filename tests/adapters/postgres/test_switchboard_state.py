"""The switchboard's memory in PostgreSQL keeps the contract, and tells a database that is away from a bug."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import orjson
import pytest

from adapters.postgres import database
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.switchboard_state import CHANNEL, PostgresSwitchboardBatch, PostgresSwitchboardState
from adapters.switchboard import SwitchboardState
from core.errors import StoreUnavailable
from core.legs import KnownCall
from core.ports import EventStore
from tests.contracts.switchboard_state import Instances, SwitchboardStateContract, batch, changes, known, learned, near, recalled

HOLD_MS = 150
IN_A_BATCH = "FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()"


class OnPostgres:
    """Instances on one database, and a connection that listens as they do."""

    def __init__(self, pool: asyncpg.Pool, store: PostgresEventStore, hold_ms: int) -> None:
        self.pool, self.hold_ms = pool, hold_ms
        self.store: EventStore = store
        self.notices: asyncio.Queue[int] = asyncio.Queue()

    def heard(self, connection: Any, pid: int, channel: str, payload: str) -> None:
        self.notices.put_nowait(orjson.loads(payload)["position"])

    def state(self) -> PostgresSwitchboardState:
        """See ``Instances``."""
        return PostgresSwitchboardState(self.pool, hold_ms=self.hold_ms)

    async def stopped_too_long(self) -> None:
        """See ``Instances``: until the server has ended the session that had the checkpoint."""
        async with asyncio.timeout(10):
            while await self.pool.fetchval(f"SELECT count(*) {IN_A_BATCH}"):  # the server's own clock runs
                pass


@pytest.fixture
def hold_ms(request: pytest.FixtureRequest) -> int:
    return HOLD_MS if "stops_in_the_middle" in request.node.name else 5_000


@pytest.fixture
async def instances(pg_pool: asyncpg.Pool, pg_store: PostgresEventStore, hold_ms: int) -> AsyncIterator[Instances]:
    found = OnPostgres(pg_pool, pg_store, hold_ms)
    async with pg_pool.acquire() as connection:
        await connection.add_listener(CHANNEL, found.heard)
        yield found
        await connection.remove_listener(CHANNEL, found.heard)


class TestPostgresSwitchboardState(SwitchboardStateContract):
    pass


async def test_whoever_stops_in_the_middle_of_a_statement_loses_the_batch_too(
    instances: Instances, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncpg prepares a statement in two steps. Of whom stops between them the server says that it is at work."""
    monkeypatch.setattr(database, "TRANSACTION_S", 0.15)
    one, other = instances.state(), instances.state()

    async def stops() -> None:
        async with batch(one) as stopped:
            assert isinstance(stopped, PostgresSwitchboardBatch)
            await stopped.save({"0367": changes(known("one"))})
            await stopped._connection.prepare("SELECT 8023")
            while not await takes(other, known("other")):
                pass  # the server's own clock runs
            await stopped.move(1, hasten=(), now_ms=0)

    async with asyncio.timeout(10):
        with pytest.raises(StoreUnavailable):
            await stops()
    assert set((await recalled(other, near(channels=("one", "other")))).calls) == {"other"}


async def takes(state: SwitchboardState, call: KnownCall) -> bool:
    """Whether there was a batch to be had to remember that in."""
    async with state.taken(await state.position()) as taken:
        if taken is not None:
            await taken.save({"0367": changes(call)})
        return taken is not None


async def test_a_database_that_is_away_is_told_from_a_bug(instances: Instances, pg_pool: asyncpg.Pool) -> None:
    state = instances.state()

    async def cut_off() -> None:
        async with state.taken(await state.position()) as taken:
            assert taken is not None
            await pg_pool.execute(f"SELECT pg_terminate_backend(pid) {IN_A_BATCH}")
            await taken.save({"0367": changes(known("A"))})

    with pytest.raises(StoreUnavailable):
        await cut_off()
    async with asyncio.timeout(10):
        while await pg_pool.fetchval(f"SELECT count(*) {IN_A_BATCH}"):
            pass  # the server has been told, and its process takes its time
    with pytest.raises(asyncpg.DataError):
        await learned(state, changes(known("A", number="a\0b")))
    await pg_pool.execute("ALTER TABLE ms.checkpoints RENAME TO away")
    with pytest.raises(StoreUnavailable):
        await state.position()
