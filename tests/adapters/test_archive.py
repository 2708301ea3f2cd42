"""Old months leave the log whole, come back whole, and stay while anything of theirs is unfinished."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from adapters import archive
from adapters.archive import NotArchived, beginning_ms, drop, export, hindrances, months, restore
from adapters.archive_command import _archived
from adapters.postgres.database import connect
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.rebuild import ONE_AT_A_TIME
from core.errors import StoreUnavailable
from core.ports import StreamId
from tests.adapters.postgres.support import waiting_for_locks
from tests.adapters.postgres.test_months import month, ms
from tests.contracts.event_store import append, notes

JANUARY, FEBRUARY, MARCH = "2026-01", "2026-02", "2026-03"
OLD = StreamId(enterprise="0367", name="call/old.1")
SPANNING = StreamId(enterprise="0367", name="call/spanning.1")
LATER = StreamId(enterprise="0367", name="call/later.1")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def lived(pool: Any, store: PostgresEventStore) -> None:
    """A log that began in January 2026: a call in it, one that goes on in February, one that begins then."""
    first = f"events_{month():%Y_%m}"
    await pool.execute(f"DROP TABLE {first}")
    await pool.execute("DELETE FROM events_months WHERE month = $1", f"{month():%Y-%m}")
    for day in (date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1), month()):
        await pool.execute("SELECT events_month($1)", day)
    for stream, note, digest in (
        (OLD, "a", b"a"), (SPANNING, "b", b"b"), (OLD, "c", b"c"), (SPANNING, "d", b"d"), (LATER, "e", b"e"),
    ):  # fmt: skip
        await store.append(append(stream, note, digest=digest))
    at = {1: JANUARY, 2: JANUARY, 3: JANUARY, 4: FEBRUARY, 5: FEBRUARY}
    for position, when in at.items():
        await pool.execute("UPDATE events SET recorded_ms = $2 WHERE position = $1", position, beginning_ms(when) + position)
    await pool.execute(
        "UPDATE streams s SET first_ms = e.first, last_ms = e.last FROM (SELECT enterprise, stream, min(recorded_ms) AS first,"
        " max(recorded_ms) AS last FROM events GROUP BY 1, 2) e WHERE e.enterprise = s.enterprise AND e.stream = s.stream"
    )
    await store.append(append(LATER, "f"))


@pytest.fixture
async def connection(database_url: str, pg_pool: asyncpg.Pool, pg_store: PostgresEventStore) -> Any:
    await lived(pg_pool, pg_store)
    opened = await connect(database_url)
    yield opened
    await opened.close()


async def the(connection: Any, name: str) -> Any:
    (found,) = [each for each in await months(connection) if each.month == name]
    return found


async def everything(pool: Any) -> list[tuple[Any, ...]]:
    """All that was ever recorded, and the streams."""
    events = await pool.fetch(
        "SELECT enterprise, stream, version, position, id, type, data, recorded_ms, mark FROM events ORDER BY position"
    )
    streams = await pool.fetch("SELECT enterprise, stream, version, first_ms, last_ms FROM streams ORDER BY 1, 2")
    return [tuple(map(str, row)) for row in (*events, *streams)]


async def test_a_month_goes_and_what_goes_on_stays_whole(
    connection: Any, pg_pool: asyncpg.Pool, pg_store: PostgresEventStore
) -> None:
    assert await hindrances(connection, await the(connection, JANUARY), now_ms()) == []

    assert await drop(connection, await the(connection, JANUARY), now_ms()) == 3

    assert await pg_store.read(OLD) == []
    assert notes(await pg_store.read(SPANNING)) == ["b", "d"]
    assert notes(await pg_store.read_log(0, 10)) == ["b", "d", "e", "f"]
    assert [row["stream"] for row in await pg_pool.fetch("SELECT stream FROM streams ORDER BY 1")] == [LATER.name, SPANNING.name]
    assert await pg_store.head() == 6
    assert (await pg_store.append(append(SPANNING, "g", expected_version=2))).position == 7
    assert notes(await pg_store.read(SPANNING)) == ["b", "d", "g"]
    assert JANUARY not in [each.month for each in await months(connection)]


async def test_positions_go_on_when_all_is_gone(connection: Any, pg_pool: asyncpg.Pool, pg_store: PostgresEventStore) -> None:
    await pg_pool.execute("UPDATE events SET recorded_ms = $1 WHERE position = 6", beginning_ms(FEBRUARY) + 6)
    await pg_pool.execute("UPDATE streams SET last_ms = $1 WHERE stream = $2", beginning_ms(FEBRUARY) + 6, LATER.name)
    for name in (JANUARY, FEBRUARY):
        await drop(connection, await the(connection, name), now_ms())
    assert await pg_store.read_log(0, 10) == []
    assert await pg_store.head() == 6
    assert (await pg_store.append(append(OLD, "anew"))).position == 7


async def test_what_was_archived_comes_back_as_it_was(
    connection: Any, pg_pool: asyncpg.Pool, pg_store: PostgresEventStore, tmp_path: Path
) -> None:
    before = await everything(pg_pool)
    january = await the(connection, JANUARY)
    path = await export(connection, january, tmp_path / "kept")
    await drop(connection, january, now_ms())
    assert await everything(pg_pool) != before

    header, anew = await restore(connection, path)

    assert (header.month, header.events, anew) == (JANUARY, 3, 0)
    assert await everything(pg_pool) == before
    assert await pg_pool.fetchval("SELECT count(*) FROM events_rest") == 0
    assert notes(await pg_store.read(OLD)) == ["a", "c"]
    assert notes(await pg_store.read_log(0, 3)) == ["a", "b", "c"]
    with pytest.raises(NotArchived, match="2026-01 is in the log already"):
        await restore(connection, path)


async def test_months_come_back_one_after_the_other(
    connection: Any, pg_pool: asyncpg.Pool, pg_store: PostgresEventStore, tmp_path: Path
) -> None:
    before = await everything(pg_pool)
    kept = []
    for name in (JANUARY, FEBRUARY):
        kept.append(await export(connection, await the(connection, name), tmp_path))
        await drop(connection, await the(connection, name), now_ms())
    assert await pg_pool.fetchval("SELECT begins FROM log_head") == 5
    for path in kept:
        await restore(connection, path)
    assert await pg_pool.fetchval("SELECT begins FROM log_head") == 0
    assert await everything(pg_pool) == before
    assert notes(await pg_store.read(SPANNING)) == ["b", "d"]


async def test_a_call_that_was_begun_anew_since_stays_as_it_is(
    connection: Any, pg_store: PostgresEventStore, tmp_path: Path
) -> None:
    january = await the(connection, JANUARY)
    path = await export(connection, january, tmp_path)
    await drop(connection, january, now_ms())
    await pg_store.append(append(OLD, "anew"))
    assert (await restore(connection, path))[1] == 1
    assert notes(await pg_store.read(OLD)) == ["anew"]
    assert notes(await pg_store.read(SPANNING)) == ["b", "d"]


async def test_a_file_that_is_damaged_is_not_brought_back(connection: Any, pg_pool: asyncpg.Pool, tmp_path: Path) -> None:
    january = await the(connection, JANUARY)
    path = await export(connection, january, tmp_path)
    await drop(connection, january, now_ms())
    before = await everything(pg_pool)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + b"?" + whole[-8:])
    with pytest.raises(NotArchived, match="damaged"):
        await restore(connection, path)
    path.write_bytes(whole)
    beside = path.with_name(path.name + ".sha256")
    beside.rename(tmp_path / "away")
    with pytest.raises(NotArchived, match=r"sha256 is missing"):
        await restore(connection, path)
    with pytest.raises(NotArchived, match="there is no file"):
        await restore(connection, tmp_path / "none")
    assert await everything(pg_pool) == before
    february = await the(connection, FEBRUARY)
    path.rename(tmp_path / "events-2026-02.copy.gz")  # of another month
    (tmp_path / "away").rename(tmp_path / "events-2026-02.copy.gz.sha256")
    with pytest.raises(NotArchived, match="is there already"):
        await export(connection, february, tmp_path)


async def test_one_that_was_stopped_after_its_file_is_simply_done_again(
    connection: Any, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(archive, "TRIES", 1)
    january = await the(connection, JANUARY)
    other = await connect(database_url)
    await other.execute(f"BEGIN; LOCK TABLE events, {january.table} IN ACCESS SHARE MODE")
    with pytest.raises(NotArchived, match="try again later"):
        await _archived(connection, january.till_ms, tmp_path, now_ms())
    await other.close()
    path = tmp_path / "events-2026-01.copy.gz"
    written = path.read_bytes()
    await _archived(connection, january.till_ms, tmp_path, now_ms())
    assert next(each.month for each in await months(connection)) == FEBRUARY
    assert path.read_bytes() == written
    header, _ = await restore(connection, path)
    assert header.events == 3


async def test_a_file_of_another_database_with_as_many_events_is_not_taken_for_this_month_s(
    connection: Any, pg_pool: asyncpg.Pool, tmp_path: Path
) -> None:
    january = await the(connection, JANUARY)
    path = await export(connection, january, tmp_path)
    written = path.read_bytes()
    await pg_pool.execute("UPDATE events SET data = '{\"other\": 1}' WHERE position = 1")
    with pytest.raises(NotArchived, match="is there already"):
        await _archived(connection, january.till_ms, tmp_path, now_ms())
    assert JANUARY in [each.month for each in await months(connection)]
    assert path.read_bytes() == written
    assert not path.with_suffix(".part").exists()


async def test_a_month_stays_while_anything_of_it_is_unfinished(
    connection: Any, pg_pool: asyncpg.Pool, pg_store: PostgresEventStore
) -> None:
    january = await the(connection, JANUARY)
    await pg_store.set_due(OLD, 2, 5)
    assert await hindrances(connection, january, now_ms()) == [
        "1 call of it is not finished (0367 old.1): wait for them, or look with ./ms.sh doctor at what keeps them"
    ]
    with pytest.raises(NotArchived, match="2026-01 stays: 1 call of it is not finished"):
        await drop(connection, january, now_ms())
    await pg_store.set_due(OLD, 2, None)
    await pg_pool.execute("INSERT INTO checkpoints VALUES ('slow', 2)")
    assert await hindrances(connection, january, now_ms()) == [
        "slow have not read it yet: wait until ./ms.sh status says so"
    ]
    await pg_pool.execute("DELETE FROM checkpoints")
    await pg_pool.execute(
        "INSERT INTO calls (enterprise, call, version, phase, direction, number, digits, extensions, extension, started_ms,"
        " talk_ms, open_cards, failures, parked)"
        " VALUES ('0367', 'spanning.1', 2, 'settled', 'in', '', '', '{}', '', 0, 0, 0, 1, 'no')"
    )
    (why,) = await hindrances(connection, january, now_ms())
    assert why.startswith("1 call of it is parked (0367 spanning.1): look at them with ./ms.sh parked")
    assert await hindrances(connection, january, ms(date(2026, 1, 20))) == ["it is not over"]
    assert notes(await pg_store.read(OLD)) == ["a", "c"]


async def test_what_belonged_to_the_month_goes_with_it(connection: Any, pg_pool: asyncpg.Pool) -> None:
    await pg_pool.execute(
        "INSERT INTO calls (enterprise, call, version, phase, direction, number, digits, extensions, extension, started_ms,"
        " talk_ms, open_cards, failures, parked) SELECT '0367', c, 1, 'settled', 'in', '', '', '{}', '', 0, 0, 0, 0, ''"
        " FROM unnest(ARRAY['old.1', 'later.1']) AS c"
    )
    await pg_pool.execute(
        "INSERT INTO public.integration_logs (enterprise_number, integration_type, event_type, status, ms_position)"
        " VALUES ('0367', 'ms', 'x', 'ok', 3), ('0367', 'ms', 'x', 'ok', 5), ('0367', 'uon', 'x', 'ok', NULL)"
    )
    await drop(connection, await the(connection, JANUARY), now_ms())
    assert await pg_pool.fetchval("SELECT array_agg(call) FROM calls") == ["later.1"]
    assert await pg_pool.fetchval("SELECT array_agg(ms_position ORDER BY id) FROM public.integration_logs") == [5, None]


async def test_appends_go_on_meanwhile(
    connection: Any, pg_store: PostgresEventStore, pg_pool: asyncpg.Pool, database_url: str
) -> None:
    """A call of the month that is heard of again in the middle of it stays whole."""
    january = await the(connection, JANUARY)
    other = await connect(database_url)
    await other.execute(f"BEGIN; SELECT count(*) FROM {january.table}")  # a reader: the month cannot go yet
    dropping = asyncio.ensure_future(drop(connection, january, now_ms()))
    await waiting_for_locks(pg_pool, 1)
    appending = asyncio.ensure_future(pg_store.append(append(OLD, "late")))
    await other.close()

    await dropping
    done = await appending

    read = await pg_store.read(OLD)
    assert (done.position, read[-1].data["note"]) == (7, "late")
    assert done.version in (1, 3)  # anew after it, or whole before it: never half
    assert len(read) == done.version


async def test_a_log_that_would_stand_still_for_too_long_goes_on_and_that_is_said(
    connection: Any, pg_store: PostgresEventStore, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the command is stopped in the middle: the server takes the lock from it."""
    monkeypatch.setattr(archive, "LOCKED_S", 0.05)
    january = await the(connection, JANUARY)
    other = await connect(database_url)
    await other.execute(f"BEGIN; SELECT count(*) FROM {january.table}")  # a reader: the month cannot go yet
    with pytest.raises(StoreUnavailable, match="2026-01: the database ended the connection or is away"):
        await _archived(connection, january.till_ms, None, now_ms())
    await other.close()
    assert (await pg_store.append(append(OLD, "late"))).position


async def test_whoever_reads_the_log_for_long_keeps_the_month_and_nobody_waits_for_him(
    connection: Any, pg_store: PostgresEventStore, pg_pool: asyncpg.Pool, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup beside it: each try holds the log for a moment only, and there is time in between."""
    monkeypatch.setattr(archive, "APART_S", 0.1)
    monkeypatch.setattr(archive, "TRIES", 3)
    january = await the(connection, JANUARY)
    other = await connect(database_url)
    await other.execute(f"BEGIN; LOCK TABLE events, {january.table} IN ACCESS SHARE MODE")
    dropping = asyncio.ensure_future(drop(connection, january, now_ms()))
    await waiting_for_locks(pg_pool, 1)
    assert await asyncio.wait_for(pg_store.append(append(OLD, "late")), archive.READERS_S + 2)
    with pytest.raises(NotArchived, match="somebody reads the log without an end"):
        await dropping
    await other.close()
    assert await drop(connection, january, now_ms()) == 3
    assert await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


async def test_a_month_does_not_go_while_read_models_are_rebuilt_from_it(connection: Any, database_url: str) -> None:
    january = await the(connection, JANUARY)
    other = await connect(database_url)
    await other.execute("SELECT pg_advisory_lock($1)", ONE_AT_A_TIME)
    with pytest.raises(NotArchived, match="read models are being rebuilt"):
        await drop(connection, january, now_ms())
    await other.close()
    assert await drop(connection, january, now_ms())


async def test_two_at_once_do_not_write_one_file(connection: Any, database_url: str, tmp_path: Path) -> None:
    """The month would leave the database with a file that the other one empties, or with the checksum of a half."""
    january = await the(connection, JANUARY)
    other = await connect(database_url)
    await other.execute("SELECT pg_advisory_lock($1)", ONE_AT_A_TIME)
    with pytest.raises(NotArchived, match="another archive is at work"):
        await _archived(connection, january.till_ms, tmp_path, now_ms())
    await other.close()
    assert os.listdir(tmp_path) == []
    assert await _archived(connection, january.till_ms, tmp_path, now_ms())
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    assert await connection.fetchval(held) == 0


async def test_lines_that_a_stopped_one_left_in_the_journal_go_with_the_next(connection: Any, pg_pool: asyncpg.Pool) -> None:
    await drop(connection, await the(connection, JANUARY), now_ms())
    await pg_pool.execute(
        "INSERT INTO public.integration_logs (enterprise_number, integration_type, event_type, status, ms_position)"
        " VALUES ('0367', 'ms', 'x', 'ok', 3), ('0367', 'ms', 'x', 'ok', 6), ('0367', 'uon', 'x', 'ok', NULL)"
    )
    with pytest.raises(NotArchived):
        await drop(connection, await the(connection, FEBRUARY), ms(date(2026, 2, 2)))
    assert await pg_pool.fetchval("SELECT count(*) FROM public.integration_logs") == 3, "whoever looks only, takes nothing away"
    await drop(connection, await the(connection, FEBRUARY), now_ms())
    assert await pg_pool.fetchval("SELECT array_agg(ms_position ORDER BY id) FROM public.integration_logs") == [6, None]


async def test_many_streams_at_once_are_read_from_their_months(connection: Any, pg_store: PostgresEventStore) -> None:
    await drop(connection, await the(connection, JANUARY), now_ms())
    found = await pg_store.read_many({SPANNING: 0, OLD: 0, LATER: 1})
    assert {stream: notes(each) for stream, each in found.items()} == {SPANNING: ["b", "d"], OLD: [], LATER: ["f"]}


@pytest.mark.parametrize("text", ["2026", "2026-13", "January", "2026-1"])
def test_a_month_is_written_in_one_way(text: str) -> None:
    with pytest.raises(NotArchived, match="is no month: write it as 2026-03"):
        beginning_ms(text)
