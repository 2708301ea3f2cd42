"""Read models derived anew while they are in use: right whatever was there, whoever writes meanwhile, whoever is killed when."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.projections import ProjectionRunner
from adapters.postgres.rebuild import RebuildFailed, RebuildRefused, rebuild
from core.clicks import ClickExpired, ClickRequested, encode_click
from core.effects import FindEmployees
from core.events import EffectDone, Exchange, encode
from core.ports import Append, LogPage, NewEvent, ProjectionDb, Rebuildable, RecordedEvent, StreamId
from projections.calls import Calls
from projections.clicks import Clicks
from projections.folded import FoldedCalls
from projections.journal import Journal
from projections.statistics import Statistics
from tests.adapters.postgres.support import eventually, waiting_for_locks
from tests.contracts.event_store import CALL, append
from tests.playback import NAMES
from tests.told import lived

ROOT = Path(__file__).parent.parent.parent.parent
TABLES = (
    "calls", "clicks", "integration_logs", "statistics_calls", "statistics_people", "statistics_requests", "statistics_names",
)  # fmt: skip


ASKED = EffectDone(
    key="k",
    at_ms=1_795_436_000_000,
    effect={"type": FindEmployees.type, "extensions": ["101"]},
    result={"employees": {"101": {"id": "x", "name": "Анна"}}},
    exchanges=(Exchange(method="GET", path="/api/remap/1.2/entity/employee", status=200, duration_ms=80, response={"a": "\0"}),),
)
"""What MoySklad was asked and answered: recordings tell of the exchange only."""


def models() -> tuple[Rebuildable, ...]:
    """Every read model, as the service has them."""
    folded = FoldedCalls()
    return (Calls(folded), Clicks(), Journal(folded), Statistics(folded))


def recorded(name: str) -> dict[StreamId, list[NewEvent]]:
    """The streams of a recording as the service lived through it, and a click, in an enterprise of their own."""
    streams = {
        StreamId(enterprise=name, name=stream): [
            NewEvent(id=uuid4(), type=type_, schema=schema, data=data)
            for type_, schema, data in map(encode, (*events, *([ASKED] if stream.startswith("call/") else [])))
        ]
        for stream, events in lived(name).streams.items()
    }
    click = [encode_click(ClickRequested(at_ms=5, extension="101", number="+37529")), encode_click(ClickExpired(at_ms=9))]
    streams[StreamId(enterprise=name, name="click/a")] = [
        NewEvent(id=uuid4(), type=type_, schema=schema, data=data) for type_, schema, data in click
    ]
    return streams


async def keep(store: PostgresEventStore, names: Sequence[str]) -> None:
    """All of these recordings as one log, their events mixed."""
    streams = {stream: list(events) for name in names for stream, events in recorded(name).items()}
    dice = random.Random(len(names))
    while streams:
        stream = dice.choice(list(streams))
        some, rest = streams[stream][:2], streams[stream][2:]
        await store.append(Append(stream=stream, events=tuple(some)))
        if rest:
            streams[stream] = rest
        else:
            del streams[stream]


async def tables(pool: asyncpg.Pool) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every read model; the journal's without its number."""
    found = {}
    for table in TABLES:
        rows = [{**row} for row in await pool.fetch(f"SELECT * FROM {table}")]
        found[table] = sorted((tuple(row[name] for name in row if name != "id") for row in rows), key=repr)
    return found


async def kept_up(pool: asyncpg.Pool, store: PostgresEventStore) -> dict[str, list[tuple[Any, ...]]]:
    """What following the log made of it, a few events at a time."""
    await ProjectionRunner(pool, store, models(), batch=7).catch_up()
    found = await tables(pool)
    assert all(found[table] for table in TABLES), "each table has something that could differ"
    return found


@pytest.mark.parametrize("piece", [5, pytest.param(100_000, marks=pytest.mark.slow)])
async def test_of_all_recordings_rebuilt_equals_live(
    pg_pool: asyncpg.Pool, pg_store: PostgresEventStore, database_url: str, piece: int
) -> None:
    await keep(pg_store, NAMES)
    live = await kept_up(pg_pool, pg_store)
    await pg_pool.execute(f"TRUNCATE {', '.join(TABLES)}")
    told: list[tuple[int, int]] = []
    head = await rebuild(database_url, models(), lambda done, of: told.append((done, of)), piece=piece)
    assert await tables(pg_pool) == live
    assert head == await pg_store.head()
    assert (told[0], told[-1], len(told)) == ((0, head), (head, head), 1 + -(-head // piece))


async def test_several_processes_come_to_the_same(
    pg_pool: asyncpg.Pool, pg_store: PostgresEventStore, database_url: str
) -> None:
    await keep(pg_store, NAMES[:6])
    live = await kept_up(pg_pool, pg_store)
    await pg_pool.execute(f"TRUNCATE {', '.join(TABLES)}")
    await rebuild(database_url, models(), workers=2, piece=50)
    assert await tables(pg_pool) == live


async def test_what_is_wrong_is_put_right_and_what_is_right_is_not_touched(
    pg_pool: asyncpg.Pool, pg_store: PostgresEventStore, database_url: str
) -> None:
    await keep(pg_store, NAMES[:4])
    live = await kept_up(pg_pool, pg_store)
    untouched = "SELECT enterprise, call, xmin::text FROM calls WHERE enterprise = $1"
    rows = await pg_pool.fetch(untouched, NAMES[0])
    for statement, name in (
        ("UPDATE calls SET phase = 'ringing', failures = 7 WHERE enterprise = $1", NAMES[1]),
        ("UPDATE calls SET version = 9999, number = 'x' WHERE enterprise = $1", NAMES[2]),
        ("UPDATE clicks SET stage = 'x' WHERE enterprise = $1", NAMES[1]),
        ("UPDATE calls SET call = call || 'x' WHERE enterprise = $1", NAMES[3]),
        ("UPDATE integration_logs SET status = 'x', request_data = '{}' WHERE enterprise_number = $1", NAMES[1]),
        ("DELETE FROM integration_logs WHERE enterprise_number = $1", NAMES[2]),
        ("UPDATE statistics_calls SET calls = 0 WHERE enterprise = $1", NAMES[1]),
        ("INSERT INTO statistics_names VALUES ($1, '999', 'nobody')", NAMES[0]),
    ):
        await pg_pool.execute(statement, name)
    await pg_pool.execute(
        "INSERT INTO integration_logs (enterprise_number, integration_type, event_type, status, ms_position)"
        " SELECT '1', 'ms', 'of nothing', 'ok', position FROM events WHERE type = 'bridge_opened' LIMIT 1"
    )
    await rebuild(database_url, models(), piece=20)
    assert await tables(pg_pool) == live
    assert await pg_pool.fetch(untouched, NAMES[0]) == rows


@pytest.mark.slow
async def test_while_signals_come_and_others_follow_the_log(
    pg_pool: asyncpg.Pool, pg_store: PostgresEventStore, database_url: str
) -> None:
    await keep(pg_store, NAMES[:3])
    following = asyncio.ensure_future(ProjectionRunner(pg_pool, pg_store, models(), batch=3, gather_s=0).run())
    async with PostgresEventStore(pg_pool, database_url) as other:
        coming = asyncio.ensure_future(keep(other, NAMES[3:]))
        times = 0
        while not coming.done():
            await rebuild(database_url, models(), piece=7)
            times += 1
        await coming
    head = await pg_store.head()

    async def reached() -> bool:
        return bool(await pg_pool.fetchval("SELECT min(position) FROM checkpoints WHERE name <> 'switchboard'") >= head)

    await eventually(reached)
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    assert times >= 2
    meanwhile = await tables(pg_pool)
    await pg_pool.execute(f"TRUNCATE {', '.join(TABLES)}")
    await pg_pool.execute("UPDATE checkpoints SET position = 0")
    assert await kept_up(pg_pool, pg_store) == meanwhile


async def test_one_that_stood_still_goes_on_from_the_end(
    pg_pool: asyncpg.Pool, pg_store: PostgresEventStore, database_url: str
) -> None:
    await keep(pg_store, NAMES[:2])
    live = await kept_up(pg_pool, pg_store)
    await pg_pool.execute("UPDATE checkpoints SET position = 3 WHERE name IN ('statistics', 'calls')")
    head = await rebuild(database_url, models())
    assert await tables(pg_pool) == live
    assert set(await pg_pool.fetch("SELECT position FROM checkpoints")) == {(head,)}


async def test_what_was_archived_stays_as_it_was(
    pg_pool: asyncpg.Pool, pg_store: PostgresEventStore, database_url: str
) -> None:
    await keep(pg_store, NAMES[:3])
    live = await kept_up(pg_pool, pg_store)
    half = await pg_store.head() // 2
    await pg_pool.execute("DELETE FROM events WHERE position <= $1", half)
    await pg_pool.execute("UPDATE log_head SET begins = $1", half)
    await rebuild(database_url, models(), piece=9)
    assert await tables(pg_pool) == live


async def test_an_empty_log(pg_pool: asyncpg.Pool, database_url: str) -> None:
    assert await rebuild(database_url, models()) == 0
    assert not any((await tables(pg_pool)).values())


class Model:
    """A read model of nothing."""

    name = "nothing"

    async def apply(self, db: ProjectionDb, events: Sequence[RecordedEvent]) -> None:
        raise AssertionError("nobody follows the log here")

    async def begin_anew(self, db: ProjectionDb) -> None:
        pass

    async def take_anew(self, db: ProjectionDb, page: LogPage) -> None:
        pass

    async def end_piece(self, db: ProjectionDb) -> None:
        pass

    async def finish_anew(self, db: ProjectionDb) -> None:
        pass


class Slow(Model):
    """Takes as long as somebody holds a lock."""

    async def end_piece(self, db: ProjectionDb) -> None:
        await db.execute("SELECT pg_advisory_xact_lock(77)")


async def test_two_at_once_refuse(pg_pool: asyncpg.Pool, pg_store: PostgresEventStore, database_url: str) -> None:
    await pg_store.append(append(CALL, "a"))
    async with pg_pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT pg_advisory_xact_lock(77)")
        first = asyncio.ensure_future(rebuild(database_url, (Slow(),)))
        await waiting_for_locks(pg_pool, 1, "advisory")
        with pytest.raises(RebuildRefused, match="already"):
            await rebuild(database_url, (Model(),))
    assert await first == 1
    assert await rebuild(database_url, (Model(),)) == 1


class Mortal(Model):
    """Its process ends in the middle of a piece."""

    async def take_anew(self, db: ProjectionDb, page: LogPage) -> None:
        os._exit(3)


@pytest.mark.slow
async def test_a_process_that_dies_is_told_and_nothing_waits_for_it(
    pg_pool: asyncpg.Pool, pg_store: PostgresEventStore, database_url: str
) -> None:
    await pg_store.append(append(CALL, "a", "b"))
    with pytest.raises(ExceptionGroup) as told:
        await rebuild(database_url, (Mortal(),), workers=2, piece=1)
    assert told.group_contains(RebuildFailed, match="ended by itself")
    assert await pg_pool.fetchval("SELECT position FROM checkpoints WHERE name = 'nothing'") == 0
    assert await rebuild(database_url, (Model(),)) == 2


KILLED = """
import asyncio, sys
from adapters.postgres.rebuild import rebuild
from tests.adapters.postgres.test_rebuild import models

def progress(done, of):
    print(done, flush=True)

if __name__ == "__main__":
    asyncio.run(rebuild(sys.argv[1], models(), progress, workers=1, piece=40))
"""


@pytest.mark.slow
async def test_one_that_is_killed_half_way_leaves_right_rows_and_is_begun_again(
    pg_pool: asyncpg.Pool, pg_store: PostgresEventStore, database_url: str, tmp_path: Path
) -> None:
    await keep(pg_store, NAMES[:6])
    live = await kept_up(pg_pool, pg_store)
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), database_url, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    while int(await process.stdout.readline()) < 80:
        pass
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert await tables(pg_pool) == live, "whoever looks meanwhile sees nothing of it"
    await pg_pool.execute("DELETE FROM calls")

    async def again() -> bool:
        try:
            await rebuild(database_url, models(), piece=11)
        except RebuildRefused:  # its last process is just ending
            return False
        return True

    await eventually(again)
    assert await tables(pg_pool) == live
