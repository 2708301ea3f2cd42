"""The dispatcher's cache of integrations is never stale, whoever changes the table (PRODUCT E4)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from adapters.directory import integrations as modules
from adapters.directory.integrations import Integrations, TooManyListeners
from core.errors import StoreUnavailable
from tests.adapters.stores import Stuck
from tests.eventually import PATIENCE_S

MS = {"ms": {"enabled": True, "integration_code": "x"}}


@pytest.fixture
async def watched(pg_pool: asyncpg.Pool) -> AsyncIterator[Integrations]:
    found = Integrations(pg_pool, every_s=0.02)
    yield found
    found.close()


async def put(pool: asyncpg.Pool, number: str, config: object) -> None:
    """A row, written by SQL as anybody may."""
    await pool.execute(
        "INSERT INTO public.enterprises (number, integrations_config) VALUES ($1, $2)"
        " ON CONFLICT (number) DO UPDATE SET integrations_config = excluded.integrations_config",
        number,
        config,
    )


async def seen(integrations: Integrations) -> dict[str, bool]:
    integrations._state.looked_at = float("-inf")
    snapshot = await integrations.snapshot()
    return {number: each.active for number, each in snapshot.integrations.items()}


async def test_every_way_of_changing_a_row_is_seen(pg_pool: asyncpg.Pool, watched: Integrations) -> None:
    assert await seen(watched) == {}
    await put(pg_pool, "1", MS)
    await put(pg_pool, "2", json.dumps({"ms": {"enabled": False}}))
    await put(pg_pool, "3", {"retailcrm": {}})
    assert await seen(watched) == {"1": True, "2": False}
    await pg_pool.execute(
        "UPDATE public.enterprises SET integrations_config = jsonb_set(integrations_config, '{ms,enabled}', 'false')"
        " WHERE number = '1'"
    )
    assert await seen(watched) == {"1": False, "2": False}
    await pg_pool.execute("DELETE FROM public.enterprises WHERE number = '2'")
    await put(pg_pool, "3", MS)
    assert await seen(watched) == {"1": False, "3": True}


async def test_the_etag_is_the_content_s_whoever_reads_it(pg_pool: asyncpg.Pool, watched: Integrations) -> None:
    await put(pg_pool, "1", MS)
    first = (await watched.snapshot()).etag
    assert (await Integrations(pg_pool).snapshot()).etag == first
    await put(pg_pool, "1", {**MS, "uon": {"token": "x"}})
    await seen(watched)
    assert (await watched.snapshot()).etag == first, "other keys are not ours to tell of"
    await put(pg_pool, "1", {**MS, "smart": {"primary": "ms"}})
    await seen(watched)
    assert (await watched.snapshot()).etag != first


async def test_what_is_different_since_an_earlier_etag(pg_pool: asyncpg.Pool, watched: Integrations) -> None:
    for number in ("1", "2", "3"):
        await put(pg_pool, number, MS)
    first = (await watched.snapshot()).etag
    await put(pg_pool, "2", {"ms": {"enabled": False}})
    await seen(watched)
    await pg_pool.execute("DELETE FROM public.enterprises WHERE number = '3'")
    await seen(watched)
    found = watched.since(first)
    assert ([each.number for each in found.changed], found.gone, found.is_whole) == (["2"], ("3",), False)
    assert watched.since(found.etag).changed == ()
    stranger = watched.since("an etag of another time")
    assert ([each.number for each in stranger.changed], stranger.is_whole) == (["1", "2"], True)


def test_a_change_is_seen_well_within_a_second() -> None:
    assert modules.EVERY_S <= 0.5


async def test_a_change_by_sql_reaches_whoever_listens(pg_pool: asyncpg.Pool) -> None:
    integrations = Integrations(pg_pool)
    etag = (await integrations.snapshot()).etag
    async with integrations.listening():
        waiting = asyncio.create_task(integrations.news(etag, "", PATIENCE_S))
        await put(pg_pool, "1", MS)
        assert await waiting
    assert integrations.listeners == 0
    assert integrations._watcher is None
    integrations.close()


async def test_who_waits_for_nothing_is_told_so(watched: Integrations) -> None:
    etag = (await watched.snapshot()).etag
    async with watched.listening():
        assert not await watched.news(etag, "", 0.05)
        waiting = asyncio.create_task(watched.news(etag, "", 60))
        await asyncio.sleep(0)
        watched.close()
        assert not await waiting


async def test_listeners_are_bounded(watched: Integrations, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "MAX_LISTENERS", 1)
    async with watched.listening():
        with pytest.raises(TooManyListeners):
            async with watched.listening():
                pass
    async with watched.listening():
        pass


async def test_only_rows_that_were_written_are_read(pg_pool: asyncpg.Pool, watched: Integrations) -> None:
    await pg_pool.execute(
        "INSERT INTO public.enterprises (number, integrations_config)"
        " SELECT lpad(n::text, 5, '0'), $1 FROM generate_series(1, 3000) AS n",
        MS,
    )
    assert len(await seen(watched)) == 3_000

    class Counting:
        """The pool, counting the rows whose settings it hands out."""

        rows = 0

        async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
            """See ``asyncpg.Pool``."""
            found: list[asyncpg.Record] = await pg_pool.fetch(query, *args)
            self.rows += len(found) if "ANY" in query else 0
            return found

        async def fetchrow(self, query: str, *args: object) -> asyncpg.Record:
            """See ``asyncpg.Pool``."""
            return await pg_pool.fetchrow(query, *args)

    counting = Counting()
    watched._pool = counting
    await put(pg_pool, "00017", {"ms": {"enabled": False}})
    assert not (await seen(watched))["00017"]
    assert counting.rows == 1


async def test_a_database_that_is_away_is_said_and_what_was_seen_stays(pg_pool: asyncpg.Pool, watched: Integrations) -> None:
    await put(pg_pool, "1", MS)
    await watched.snapshot()

    class Away:
        """Nobody is there."""

        async def fetchrow(self, *_: object) -> None:
            """See ``asyncpg.Pool``."""
            raise ConnectionRefusedError

    watched._pool = Away()
    watched._state.looked_at = float("-inf")
    snapshot = await watched.snapshot()
    assert (list(snapshot.integrations), snapshot.away) == (["1"], "nobody listens there")
    watched._pool = pg_pool
    watched._state.looked_at = float("-inf")
    assert (await watched.snapshot()).away == ""


async def test_what_was_never_seen_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "PATIENCE_S", 0.05)
    stuck = Stuck()
    integrations = Integrations(stuck)
    with pytest.raises(StoreUnavailable):
        await integrations.snapshot()
    stuck.let_go.set()
    integrations.close()
