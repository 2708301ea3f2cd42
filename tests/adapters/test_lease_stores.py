"""Both lease stores keep the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from adapters.memory_leases import MemoryLeaseStore
from adapters.memory_store import MemoryEventStore
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.leases import PostgresLeases
from adapters.postgres.neighbours import Process
from core.ports import EventStore, LeaseStore
from tests.contracts.lease_store import LeaseStoreContract, Passing

NOWHERE = Process(host="", pid=0, started=0)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now_ms = 1_757_840_723_000


class TestMemoryLeaseStore(LeaseStoreContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def store(self) -> EventStore:
        return MemoryEventStore()

    @pytest.fixture
    def leases(self, clock: Clock, store: MemoryEventStore) -> LeaseStore:
        return MemoryLeaseStore(lambda: clock.now_ms, store.due_enterprises)

    @pytest.fixture
    def passing(self, clock: Clock) -> Passing:
        async def passing(ms: int) -> None:
            clock.now_ms += ms

        return passing


class TestPostgresLeases(LeaseStoreContract):
    @pytest.fixture
    def store(self, pg_store: PostgresEventStore) -> EventStore:
        return pg_store

    @pytest.fixture
    async def leases(self, database_url: str) -> AsyncIterator[LeaseStore]:
        async with PostgresLeases(database_url, process=NOWHERE, beat_s=30, ask_s=30) as leases:
            yield leases

    @pytest.fixture
    def passing(self, pg_pool: asyncpg.Pool) -> Passing:
        async def passing(ms: int) -> None:
            """The server's clock is nobody's to turn: everything that ever happened is moved to so much earlier instead."""
            await pg_pool.execute(
                "UPDATE nodes SET started_at = started_at - make_interval(secs => $1), expires_at = expires_at"
                " - make_interval(secs => $1)",
                ms / 1000,
            )
            await pg_pool.execute("UPDATE owners SET quiet_since = quiet_since - make_interval(secs => $1)", ms / 1000)

        return passing
