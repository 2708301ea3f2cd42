"""Both memories of who is to be called back keep the contract."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from adapters.memory_callbacks import MemoryCallbacks
from adapters.postgres.callbacks import KEPT_DAYS, PostgresCallbacks, prune
from core.errors import StoreUnavailable
from core.ports import Callbacks, Claimed
from tests.contracts.callbacks import NUMBER, Again, CallbacksContract, Passing

DAY_MS = 86_400_000


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now_ms = 1_757_840_723_000
        self.again: list[tuple[str, str]] = []


class TestMemoryCallbacks(CallbacksContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def callbacks(self, clock: Clock) -> Callbacks:
        return MemoryCallbacks(lambda: clock.now_ms, lambda enterprise, call: clock.again.append((enterprise, call)))

    @pytest.fixture
    def again(self, clock: Clock) -> Again:
        async def again() -> list[tuple[str, str]]:
            found, clock.again = clock.again, []
            return found

        return again

    @pytest.fixture
    def passing(self, clock: Clock) -> Passing:
        async def passing(ms: int) -> None:
            clock.now_ms += ms

        return passing


class TestPostgresCallbacks(CallbacksContract):
    @pytest.fixture
    def callbacks(self, pg_pool: asyncpg.Pool) -> Callbacks:
        return PostgresCallbacks(pg_pool)

    @pytest.fixture
    def again(self, pg_pool: asyncpg.Pool) -> Again:
        async def again() -> list[tuple[str, str]]:
            rows = await pg_pool.fetch("DELETE FROM retry_orders RETURNING enterprise, call")
            return [(row["enterprise"], row["call"]) for row in rows]

        return again

    @pytest.fixture
    def passing(self, pg_pool: asyncpg.Pool) -> Passing:
        async def passing(ms: int) -> None:
            """The server's clock is nobody's to turn: what was to last is moved to so much earlier instead."""
            await pg_pool.execute("UPDATE callback_holds SET until = until - make_interval(secs => $1)", ms / 1000)

        return passing


async def test_what_nobody_calls_back_for_any_more_is_forgotten(pg_pool: asyncpg.Pool) -> None:
    callbacks = PostgresCallbacks(pg_pool)
    await callbacks.claim("0367", "A", NUMBER, 1_000)
    await callbacks.close("0367", "B", ("number 2",), 1_000)
    await pg_pool.execute("UPDATE callbacks SET changed_at = changed_at - make_interval(days => $1)", KEPT_DAYS - 1)
    await prune(pg_pool)
    assert await callbacks.claim("0367", "C", NUMBER, 1_000) == Claimed(granted=False, by="A")
    assert await callbacks.claim("0367", "D", ("number 2",), 1_000) == Claimed(granted=True)  # that talk was in 1970

    await pg_pool.execute("UPDATE callbacks SET changed_at = changed_at - make_interval(days => $1)", KEPT_DAYS + 1)
    await prune(pg_pool)
    assert await callbacks.claim("0367", "C", NUMBER, 1_000) == Claimed(granted=True)


async def test_a_database_that_is_away_is_an_outage() -> None:
    class Away:
        def acquire(self) -> Any:
            raise ConnectionRefusedError

    with pytest.raises(StoreUnavailable, match="who is to be called back"):
        await PostgresCallbacks(Away()).keep("0367", "A", "t")
