"""What only PostgreSQL's leases can get wrong: transactions that meet, processes that end, a server that hangs or crashes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from adapters.embedded_postgres import embedded_postgres
from adapters.postgres import leases as postgres_leases
from adapters.postgres.database import connect
from adapters.postgres.leases import PostgresLeases
from adapters.postgres.migrations import migrate
from adapters.postgres.neighbours import Process, has_ended, local_process, this_process
from core.errors import StoreUnavailable
from core.ports import LEASE_MS
from tests.adapters.postgres.support import eventually, relay_to, waiting_for_locks
from tests.contracts.lease_store import TOLERANCE_MS, names
from tests.eventually import until

NOWHERE = Process(host="", pid=0, started=0)
LAPSE = "UPDATE nodes SET expires_at = clock_timestamp() - interval '1 ms' WHERE id = $1"
PROLONG = "UPDATE nodes SET expires_at = clock_timestamp() + interval '60 s' WHERE id = $1"


@pytest.fixture
async def leases(database_url: str) -> AsyncIterator[PostgresLeases]:
    """Patient, so that a busy machine fails no test."""
    async with PostgresLeases(database_url, process=NOWHERE, beat_s=30, ask_s=30) as leases:
        yield leases


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process of this host whose end is the test's to choose."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("beat_succeeds", [True, False])
async def test_a_beat_under_way_is_waited_for(leases: PostgresLeases, pg_pool: asyncpg.Pool, beat_succeeds: bool) -> None:
    """A claim finds a lease that ran out while its node's beat is not committed yet: if it will be, the lease did not run out."""
    for node in ("a", "b"):
        await leases.join(node, "")
    await leases.claim("a", {"0367": "x"})
    await pg_pool.execute(LAPSE, "a")
    async with pg_pool.acquire() as connection:
        beat = connection.transaction()
        await beat.start()
        await connection.execute(PROLONG, "a")
        claiming = asyncio.ensure_future(leases.claim("b", {"0367": "x"}))
        await waiting_for_locks(pg_pool, 1)
        await (beat.commit() if beat_succeeds else beat.rollback())

    assert names(await claiming) == (set() if beat_succeeds else {"0367"})
    assert await leases.owners() == {"0367": "a" if beat_succeeds else "b"}


async def test_a_beat_waits_for_no_claim(leases: PostgresLeases, pg_pool: asyncpg.Pool) -> None:
    await leases.join("a", "")
    async with pg_pool.acquire() as connection:
        slow = connection.transaction()
        await slow.start()
        await connection.execute("SELECT lease_claim('a', ARRAY['0367'], ARRAY['x'], 4000, 3000)")
        claiming = asyncio.ensure_future(leases.claim("a", {"0368": "y"}))
        await waiting_for_locks(pg_pool, 1)

        assert await leases.beat("a", {}) is not None
        assert not claiming.done()
        await slow.commit()
        assert names(await claiming) == {"0368"}


async def test_a_server_that_hangs_fails_a_beat_in_good_time(database_url: str) -> None:
    async with relay_to(database_url) as (relay, dsn), PostgresLeases(dsn, process=NOWHERE, beat_s=0.3, ask_s=0.3) as leases:
        relay.block()
        with pytest.raises(StoreUnavailable):
            await leases.beat("a", {})
        relay.unblock()

        async def joined() -> bool:
            try:
                await leases.join("a", "")
            except StoreUnavailable:
                return False
            return True

        await eventually(joined)
        relay.block()
        started = time.monotonic()
        for asking in (leases.beat("a", {}), leases.claim("a", {"0367": "x"}), leases.owners()):
            with pytest.raises(StoreUnavailable, match="no answer in time"):
                await asking
        assert time.monotonic() - started < 5
        relay.unblock()


async def test_an_ended_neighbour_is_not_waited_for(
    database_url: str, leases: PostgresLeases, child: subprocess.Popen[bytes]
) -> None:
    """SIGKILL: its enterprises are free at the next beat of anybody on this host, long before its lease ran out."""
    mine = this_process()
    async with (
        PostgresLeases(database_url, process=local_process(child.pid), beat_s=30, ask_s=30) as killed,
        PostgresLeases(database_url, process=mine, beat_s=30, ask_s=30) as here,
    ):
        await killed.join("killed", "")
        await killed.claim("killed", {"0367": "x"})
        await leases.join("elsewhere", "")  # whose process nobody can judge
        await here.join("here", "")
        assert len(await here.beat("here", {}) or []) == 3

        child.kill()
        child.wait()

        assert [node.id for node in await leases.beat("elsewhere", {}) or []] == ["killed", "elsewhere", "here"]
        assert [node.id for node in await here.beat("here", {}) or []] == ["elsewhere", "here"]
        (claim,) = await here.claim("here", {"0367": "x"})
        assert 0 <= (claim.quiet_ms or 0) < TOLERANCE_MS


async def test_a_beat_waits_no_longer_than_it_may_for_an_ended_neighbour_to_be_removed(
    database_url: str, leases: PostgresLeases, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for a slow disk there would lose the belief in his own lease."""
    monkeypatch.setattr(postgres_leases, "BURY_S", 0.0)
    slow, bury = asyncio.Event(), PostgresLeases._bury

    async def slowly(self: PostgresLeases, ended: list[str]) -> list[str]:
        await slow.wait()
        return await bury(self, ended)

    monkeypatch.setattr(PostgresLeases, "_bury", slowly)
    async with (
        PostgresLeases(database_url, process=local_process(child.pid), beat_s=30, ask_s=30) as killed,
        PostgresLeases(database_url, process=this_process(), beat_s=30, ask_s=30) as here,
    ):
        await killed.join("killed", "")
        await here.join("here", "")
        child.kill()
        child.wait()

        for _ in range(2):
            assert [node.id for node in await here.beat("here", {}) or []] == ["killed", "here"]
        slow.set()
        monkeypatch.setattr(postgres_leases, "BURY_S", 30.0)
        await until(lambda: not here._burials.running)
        assert [node.id for node in await here.beat("here", {}) or []] == ["here"]
        assert [node.id for node in await here.beat("here", {}) or []] == ["here"]


def test_only_what_proves_an_end_counts(child: subprocess.Popen[bytes]) -> None:
    here, process = this_process(), local_process(child.pid)
    assert process.host == here.host != ""
    assert not has_ended(process, here)
    assert not has_ended(here, here)
    assert has_ended(replace(process, started=process.started - 1), here), "another process with its number"

    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(process, here), "it is dead, though nobody has asked how it died"
    child.wait()
    assert has_ended(process, here)
    assert not has_ended(replace(process, host="another boot, or another container"), here)
    assert not has_ended(NOWHERE, NOWHERE)
    assert local_process(child.pid).host == ""


async def test_after_a_crash_of_the_server_everybody_has_a_fresh_lease(leases: PostgresLeases, pg_pool: asyncpg.Pool) -> None:
    """The last beats may be lost in it, and recovery takes its time: by the row alone the node would be gone."""
    for node in ("a", "b"):
        await leases.join(node, "")
    await leases.claim("a", {"0367": "x"})
    await pg_pool.execute(LAPSE, "a")
    await pg_pool.execute("TRUNCATE lease_turn")

    assert await leases.claim("b", {"0367": "x"}) == []
    assert await leases.beat("a", {}) is not None
    left = await pg_pool.fetchval("SELECT expires_at - clock_timestamp() FROM nodes WHERE id = 'b'")
    assert left.total_seconds() * 1_000 <= LEASE_MS


async def test_a_real_crash_is_noticed(tmp_path: Path) -> None:
    """One back-end killed with SIGKILL: the server drops everything and recovers."""
    async with embedded_postgres(tmp_path / "pg", profile="tests", discard=True) as dsn:
        await migrate(dsn)
        async with PostgresLeases(dsn, process=NOWHERE, beat_s=30, ask_s=30) as leases:
            await leases.join("a", "")
            await leases.claim("a", {"0367": "x"})
            victim = await connect(dsn)
            assert await victim.fetchval("SELECT count(*) FROM lease_turn") == 1
            os.kill(await victim.fetchval("SELECT pg_backend_pid()"), signal.SIGKILL)
            victim.terminate()

            async def recovered() -> bool:
                try:  # the server may drop what it has just taken: it learns of the kill a moment later
                    again = await connect(dsn)
                    try:
                        return bool(await again.fetchval("SELECT count(*) FROM lease_turn") == 0)
                    finally:
                        again.terminate()
                except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    return False

            await eventually(recovered)

            async def beaten() -> bool:
                try:
                    return await leases.beat("a", {}) is not None
                except StoreUnavailable:
                    return False  # on the connection that was lost

            await eventually(beaten)
            assert names(await leases.claim("a", {"0367": "x"})) == {"0367"}


async def test_what_was_not_attended_to_for_long_is_forgotten(leases: PostgresLeases, pg_pool: asyncpg.Pool) -> None:
    await leases.join("a", "")
    await leases.claim("a", {"0367": "x", "0368": "y", "0369": "z"})
    await leases.release("a", ["0367", "0368"])
    await pg_pool.execute("UPDATE owners SET quiet_since = now() - interval '8 days' WHERE enterprise <> '0368'")

    await leases.join("b", "")

    rows = await pg_pool.fetch("SELECT enterprise FROM owners ORDER BY enterprise")
    assert [row["enterprise"] for row in rows] == ["0368", "0369"]
