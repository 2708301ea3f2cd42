"""Claims and open calls on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from adapters.attendant import new_event
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.leases import PostgresLeases
from adapters.postgres.pbx import PostgresClaims
from core.events import ArrivalObserved, Event, HangupObserved, LegAbsorbed
from core.ports import Append, StreamId
from core.values import Direction
from tests.contracts.pbx_claims import ClaimsContract


@dataclass
class LeasedNodes:
    """Instances that live by their leases."""

    leases: PostgresLeases
    pool: Any

    async def live(self, node_id: str) -> None:
        """See ``Nodes``."""
        await self.leases.join(node_id, "127.0.0.1:1")

    async def die(self, node_id: str) -> None:
        """See ``Nodes``: its lease has run out, and nobody has noticed yet."""
        await self.pool.execute("UPDATE nodes SET expires_at = clock_timestamp() - interval '1 ms' WHERE id = $1", node_id)


@pytest.fixture
async def claims(database_url: str) -> AsyncIterator[PostgresClaims]:
    made = PostgresClaims(database_url)
    yield made
    await made.close()


class TestPostgresClaims(ClaimsContract):
    @pytest.fixture
    async def nodes(self, database_url: str, pg_pool: asyncpg.Pool) -> AsyncIterator[LeasedNodes]:
        async with PostgresLeases(database_url) as leases:
            yield LeasedNodes(leases, pg_pool)


async def keep(store: PostgresEventStore, call: str, *events: Event, enterprise: str = "0367", due_ms: int | None = 1) -> None:
    stream = StreamId(enterprise=enterprise, name=f"call/{call}")
    await store.append(Append(stream=stream, events=tuple(map(new_event, events)), due_ms=due_ms))


def arrived(call: str, wire: str = "ami/lab") -> ArrivalObserved:
    return ArrivalObserved(heard_ms=1, wire=wire, channel=call, number="+79160000001")


async def test_open_calls_are_those_of_this_wire_that_are_not_over(
    claims: PostgresClaims, pg_store: PostgresEventStore
) -> None:
    over = HangupObserved(heard_ms=2, wire="ami/lab", channel="over", direction=Direction.INCOMING)
    await keep(pg_store, "open", arrived("open"))
    await keep(pg_store, "over", arrived("over"), over)
    await keep(pg_store, "leg", arrived("leg"), LegAbsorbed(heard_ms=2, into="open"))
    await keep(pg_store, "posted", arrived("posted", "call-event"))
    await keep(pg_store, "other", arrived("other", "ami/other"))
    await keep(pg_store, "stranger", arrived("stranger"), enterprise="0999")
    await keep(pg_store, "done", arrived("done"), due_ms=None)
    await keep(pg_store, f"{uuid4()}", arrived("both", "call-event"), arrived("both"))
    found = [stream.name for stream in await claims.open_calls("0367", "ami/lab")]
    assert len(found) == 2
    assert "call/open" in found
