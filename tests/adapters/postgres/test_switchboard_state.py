"""The switchboard's memory in PostgreSQL keeps the contract, and tells a database that is away from a bug."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import orjson
import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.switchboard_state import CHANNEL, PostgresSwitchboardState
from core.errors import StoreUnavailable
from core.ports import EventStore
from tests.contracts.switchboard_state import Instances, SwitchboardStateContract, changes, known, learned

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
