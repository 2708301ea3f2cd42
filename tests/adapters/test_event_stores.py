"""Both event stores keep the contract."""

from __future__ import annotations

import pytest

from adapters.memory_store import MemoryEventStore
from adapters.postgres.event_store import PostgresEventStore
from core.ports import EventStore
from tests.contracts.event_store import CALL, EventStoreContract, append


class TestMemoryEventStore(EventStoreContract):
    @pytest.fixture
    def store(self) -> EventStore:
        return MemoryEventStore()

    async def test_recorded_time_is_the_callers(self) -> None:
        store = MemoryEventStore(now_ms=lambda: 1_757_840_723_000)
        await store.append(append(CALL))

        assert [recorded.recorded_ms for recorded in await store.read(CALL)] == [1_757_840_723_000]


class TestPostgresEventStore(EventStoreContract):
    @pytest.fixture
    def store(self, pg_store: PostgresEventStore) -> EventStore:
        return pg_store
