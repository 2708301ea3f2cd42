"""What waits for the disk, and what need not (docs/decisions/0022): each row as it is written tells how its transaction commits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.access import Access
from adapters.audit import Audit
from adapters.parked import ParkedWork
from adapters.postgres.database import close_pool, connect, create_pool, load_sql
from adapters.postgres.leases import PostgresLeases
from tests.playback import as_call_event, recording
from tests.rig import ENTERPRISE, Rig, running

DERIVED = {
    "calls",
    "checkpoints",
    "clicks",
    "integration_logs",
    "nodes",  # a beat: docs/decisions/0010
    "statistics_calls",
    "statistics_names",
    "statistics_people",
    "statistics_requests",
    "streams",  # set_due and hasten; the appends' own writes are looked at beside
    "switchboard_calls",
    "switchboard_links",
    "switchboard_members",
}
"""Tables that a transaction may write without waiting for the disk: they are derived from the log, and derived again."""

PROMISED = {
    "access_links",
    "audit",
    "callbacks",
    "events",
    "owners",
    "rejected_input",
    "retry_orders",
    "settings_revisions",
}
"""Tables whose rows somebody was told of, or acts upon."""

WATCH = """
CREATE TABLE public.commits (table_name text, how text, in_append boolean, PRIMARY KEY (table_name, how, in_append));
CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.commits
    VALUES (TG_TABLE_NAME, current_setting('synchronous_commit'), current_query() LIKE '%append_batch%') ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
DO $$
DECLARE t record;
BEGIN
    FOR t IN SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname IN ('ms', 'public') AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'commits'
    LOOP
        EXECUTE format(
            'CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON %I.%I EXECUTE FUNCTION public.note()', t.nspname, t.relname
        );
    END LOOP;
END $$;
"""


async def everything_happens(rig: Rig) -> None:
    """Missed and answered calls, a refused body, settings, and whatever else people and instances write."""
    for name in ("ring_group_abandoned", "attended_transfer"):
        for line in recording(name):
            await rig.wait(max(0, line.at_ms - rig.clock.now_ms))
            assert (await rig.post(*as_call_event(line)))[0] == 200
            await rig.settle()
        await rig.wait(60_000)
    assert (await rig.post("/internal/ms/call-event", {"nonsense": True}))[0] == 400
    await rig.service.runner.catch_up()
    pool = rig.service.pool
    await rig.service.settings.save(ENTERPRISE, {"enabled": False}, by="anna", reason="test")
    await ParkedWork(pool, rig.service.store).retry_call(ENTERPRISE, "1757840723.6", by="anna", reason="now")
    await pool.fetchrow(load_sql("retry_order_make"), ENTERPRISE, "", "anna", "now", 0.0)
    await Audit(pool).note(actor="anna", address="127.0.0.1", action="settings saved", enterprise=ENTERPRISE)
    await Access(pool, None).make_link(ENTERPRISE, "anna", days=1)
    async with PostgresLeases(rig.dsn) as leases:
        await leases.join("n1", "one")
        await leases.claim("n1", {ENTERPRISE: "key"})
        await leases.beat("n1", {})


async def test_whoever_promises_waits_for_the_disk_and_nobody_else(database_url: str) -> None:
    async with running(database_url, config={"incoming_call_actions": {"create_client": True, "create_task": "on_missed"}}) as rig:
        connection = await connect(database_url)
        await connection.execute(WATCH)
        await everything_happens(rig)
        rows = await connection.fetch("SELECT table_name, how, in_append FROM public.commits")
        await connection.close()
    written = {row["table_name"] for row in rows}
    assert {row["table_name"] for row in rows if row["how"] == "off"} <= DERIVED
    assert {row["how"] for row in rows if row["in_append"]} == {"on"}
    for promised in PROMISED:
        assert promised in written, promised
        assert {row["how"] for row in rows if row["table_name"] == promised} == {"on"}, promised
    for derived in ("checkpoints", "calls", "integration_logs", "statistics_calls", "switchboard_calls"):
        assert {row["how"] for row in rows if row["table_name"] == derived} == {"off"}, derived


async def test_a_pool_says_which_of_the_two_it_is(database_url: str) -> None:
    for derived, how in ((False, "on"), (True, "off")):
        pool = await create_pool(database_url, min_size=0, max_size=1, derived=derived)
        assert await pool.fetchval("SHOW synchronous_commit") == how
        await close_pool(pool)


async def test_nothing_is_asked_between_two_users_of_a_connection(database_url: str) -> None:
    pool = await create_pool(database_url, min_size=1, max_size=1)
    watching = await connect(database_url)
    async with pool.acquire() as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        await connection.fetchval("SELECT 8023 AS the_last_word")
    last = await watching.fetchval("SELECT query FROM pg_stat_activity WHERE pid = $1", pid)
    assert last == "SELECT 8023 AS the_last_word"
    await watching.close()
    await close_pool(pool)


async def test_a_transaction_that_was_left_open_ends_with_its_user(database_url: str) -> None:
    """What asyncpg still does by itself."""
    pool = await create_pool(database_url, min_size=1, max_size=1)
    async with pool.acquire() as connection:
        await connection.execute("BEGIN; SET LOCAL lock_timeout = '7s'; SELECT pg_advisory_xact_lock(17)")
    async with pool.acquire() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("SHOW lock_timeout") == "5s"
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        assert await connection.fetchval(held) == 0
    await close_pool(pool)


LASTING = re.compile(
    r"\b(pg_(try_)?advisory_lock|LISTEN |DISCARD |CREATE (LOCAL )?TEMP|WITH HOLD|SET SESSION|set_config\([^)]*false\)"
    r"|SET (?!LOCAL\b)[a-z_]+ *(=|TO) *'?[0-9a-z]+'?(;|\"|$))"
)
"""What would stay with a session."""

OWN_CONNECTION = {
    "adapters/archive.py",
    "adapters/postgres/migrations.py",
    "adapters/postgres/rebuild.py",
    "adapters/postgres/sql/archive_staying.sql",
    "adapters/postgres/writer.py",
}
"""They have connections of their own, and never one of a pool."""


def leavings(text: str) -> list[str]:
    """What a text leaves in a session, without UPDATE ... SET."""
    return [found.group() for line in text.splitlines() if (found := LASTING.search(line)) and "UPDATE" not in line]


def test_nobody_leaves_anything_in_a_session() -> None:
    """Since nothing is put back between two users of the pool."""
    files = [*Path("adapters").rglob("*.py"), *Path("projections").rglob("*.py"), *Path("adapters/postgres/sql").glob("*.sql")]
    found = {str(path): left for path in files if (left := leavings(path.read_text()))}
    assert set(found) <= OWN_CONNECTION, found
    assert len(files) > 100


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_advisory_lock(1)",
        "SET statement_timeout = 0",
        "SET search_path TO ms;",
        "SELECT set_config('lock_timeout', $1, false)",
        "CREATE TEMP TABLE x (y int)",
    ],
)
def test_what_stays_with_a_session_is_recognised(statement: str) -> None:
    assert leavings(statement)
    assert not leavings("SET LOCAL statement_timeout = 0")
    assert not leavings("SELECT pg_advisory_xact_lock(1)")
