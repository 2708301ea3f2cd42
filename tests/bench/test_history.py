"""Made histories: the log is as the service would have written it, and what is derived from it agrees with what was copied."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from adapters.postgres.database import create_pool
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.rebuild import rebuild
from bench import history
from bench.ground import Ground, ground
from core.call import fold, initial
from core.events import decode
from core.lifecycle import Phase
from core.ports import StreamId
from projections.calls import Calls


@contextlib.asynccontextmanager
async def standing(server: str) -> AsyncIterator[Ground]:
    async with ground(lambda _: None, server) as place:
        yield place


GAPS = """
SELECT count(*) FROM (SELECT position - lag(position, 1, 0::bigint) OVER (ORDER BY position) AS step FROM events) AS s
WHERE step <> 1
"""
TORN = """
SELECT count(*) FROM (
    SELECT version - lag(version, 1, 0) OVER (PARTITION BY enterprise, stream ORDER BY position) AS step FROM events
) AS s WHERE step <> 1
"""
HEADS = """
SELECT count(*) FROM streams s FULL JOIN (SELECT enterprise, stream, max(version) AS version FROM events GROUP BY 1, 2) AS e
USING (enterprise, stream) WHERE s.version IS DISTINCT FROM e.version
"""
ROWS = "SELECT * FROM calls ORDER BY enterprise, call"


@pytest.mark.slow
async def test_a_history_is_what_the_service_would_have_recorded(postgres_server: str) -> None:
    async with standing(postgres_server) as place, place.database() as dsn:
        made = await history.make(place, dsn, 6_000, enterprises=7)
        pool = await create_pool(dsn)
        try:
            assert made.head == made.events == await pool.fetchval("SELECT count(*) FROM events")
            assert made.calls == await pool.fetchval("SELECT count(*) FROM calls")
            for query in (GAPS, TORN, HEADS):
                assert await pool.fetchval(query) == 0, query
            assert await pool.fetchval("SELECT count(DISTINCT enterprise) FROM calls") == 7
            assert {row[0] for row in await pool.fetch("SELECT DISTINCT outcome FROM calls")} == {
                "answered",
                "missed",
                "internal",
            }
            copied = [dict(row) for row in await pool.fetch(ROWS)]
            await pool.execute("TRUNCATE calls")
            await rebuild(dsn, (Calls(),))
            assert [dict(row) for row in await pool.fetch(ROWS)] == copied, "rebuilt equals copied"
        finally:
            await pool.close()


def test_calls_take_turns_by_commits() -> None:
    """As in a log: what one commit recorded stands together, however many calls go on."""
    example = history.Example(
        events=(("%(p1)d a %(n)d\n",), ("%(p2)d b %(n)d\n", "%(p3)d c %(n)d\n")), rows={}, times=(), stamps=()
    )
    lines = [line for _, text in history.block_of(example, 1, 100, 0, 3) for line in text.splitlines()]
    told = [(int(place), event, int(nth)) for place, event, nth in (line.split() for line in lines)]
    assert [place for place, *_ in told] == list(range(101, 101 + 3 * history.AT_ONCE))
    assert [(event, nth) for _, event, nth in told[history.AT_ONCE - 1 :][:5]] == [
        ("a", history.AT_ONCE), ("b", 1), ("c", 1), ("b", 2), ("c", 2),
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "phase"), [("live", Phase.TALKING), ("waiting", Phase.ENDING)])
async def test_calls_that_are_not_over(postgres_server: str, kind: str, phase: Phase) -> None:
    """``live``: talked, with a card; ``waiting``: nobody has attended to it, and it is due."""
    async with standing(postgres_server) as place, place.database() as dsn:
        made = await history.make(place, dsn, 10, enterprises=3, kinds=(kind,), ends_ms=history.ENDS_MS, span_ms=1_000, first=500)
        pool = await create_pool(dsn)
        try:
            assert await pool.fetchval("SELECT count(*) FROM streams WHERE due_ms IS NOT NULL") == made.calls == history.AT_ONCE
            name = f"call/{history.MARK}00000501.1"
            enterprise = await pool.fetchval("SELECT enterprise FROM streams WHERE stream = $1", name)
            async with PostgresEventStore(pool, dsn) as store:
                read = await store.read(StreamId(enterprise=enterprise, name=name))
            events = [decode(each.type, each.schema, each.data) for each in read]
            state = fold(initial(enterprise, name.removeprefix("call/")), events)
            assert (state.phase, bool(state.remote.open_cards)) == (phase, kind == "live")
        finally:
            await pool.close()
