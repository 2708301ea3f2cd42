"""Old months of the log leave the database: into a file that can be brought back, or for good (PRODUCT G1, docs/operations.md).

A month is a partition, so dropping it costs nothing, however much it holds. What it takes along goes page by page: its streams
and their lines in the index of calls before, our lines in ``integration_logs`` afterwards. A call that went on into the next
month stays whole: its beginning moves to ``events_rest``.

A file is the gzip of a header (one line of JSON) and of COPY's text; beside it lies its checksum as ``sha256sum -c`` reads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import os
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from adapters.counted import counted
from adapters.on_disk import sync
from adapters.postgres.database import TRANSACTION_S, limit_transaction, load_sql
from adapters.postgres.rebuild import ONE_AT_A_TIME

COLUMNS: Final = ("enterprise", "stream", "version", "position", "id", "type", "schema", "data", "recorded_ms", "mark")
FORMAT: Final = 1
WORK_S: Final = 24 * 3_600.0
"""The time limit of a statement that works on a whole month."""

LOCKED_S: Final = 60.0
"""The log stands still no longer than that, even if this program is stopped in the middle (Ctrl-Z is enough)."""

READERS_S: Final = 0.2
APART_S: Final = 5.0
TRIES: Final = 60
"""Attempts to lock the log for the moment in which nobody may read it, so many seconds apart: a backup reads it for minutes. Each
waits ``READERS_S`` at most for whoever reads, because everybody else waits behind it."""

PIECE: Final = 1024 * 1024
_FOREVER: Final = 2**62

_MONTH: Final = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_LIST, _OPEN, _PARKED = load_sql("months_list"), load_sql("archive_open"), load_sql("archive_parked")
_FORGET, _JOURNAL, _STAYING = load_sql("archive_forget"), load_sql("archive_journal"), load_sql("archive_staying")
_LEFT: Final = "SELECT EXISTS (SELECT FROM streams WHERE due_ms IS NOT NULL AND last_ms < $1)"
_STAYING_SINCE: Final = """
INSERT INTO staying
SELECT DISTINCT e.enterprise, e.stream
FROM log_after($1, 2147483647) e JOIN streams s USING (enterprise, stream) WHERE s.first_ms < $2
"""


class NotArchived(ValueError):
    """A month stays, or a file cannot be brought back; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A month of the log. ``bytes_``: on disk, with indexes."""

    month: str
    from_ms: int
    till_ms: int
    table: str
    bytes_: int


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a file."""

    format: int
    month: str
    from_ms: int
    till_ms: int
    events: int
    columns: tuple[str, ...]


async def months(connection: Any) -> list[Month]:
    """The months of the log, the oldest first."""
    return [
        Month(
            month=row["month"], from_ms=row["from_ms"], till_ms=row["till_ms"], table=row["table_name"], bytes_=row["bytes"]
        )
        for row in await connection.fetch(_LIST)
    ]


def beginning_ms(month: str) -> int:
    """When a month (``2026-03``, of UTC) begins. Raises NotArchived."""
    if not _MONTH.fullmatch(month):
        raise NotArchived(f"{month!r} is no month: write it as 2026-03")
    return int(datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC).timestamp() * 1000)


async def hindrances(connection: Any, month: Month, now_ms: int) -> list[str]:
    """Why a month cannot go yet, in words."""
    if month.till_ms > now_ms:
        return ["it is not over"]
    found: list[str] = []
    for query, what, then in (
        (_OPEN, "not finished", "wait for them, or look with ./ms.sh doctor at what keeps them"),
        (_PARKED, "parked", "look at them with ./ms.sh parked and settle them"),
    ):
        if rows := await connection.fetch(query, month.till_ms):
            named = ", ".join(f"{row['enterprise']} {row['stream'].removeprefix('call/')}" for row in rows)
            calls = rows[0]["streams"]
            more, are = ", …" if calls > 3 else "", "is" if calls == 1 else "are"
            found.append(f"{counted(calls, 'call')} of it {are} {what} ({named}{more}): {then}")
    end = await connection.fetchval(f"SELECT max(position) FROM {month.table}")
    behind = await connection.fetch("SELECT name FROM checkpoints WHERE position < $1 ORDER BY name", end or 0)
    if behind:
        found.append(f"{', '.join(row['name'] for row in behind)} have not read it yet: wait until ./ms.sh status says so")
    return found


async def export(connection: Any, month: Month, folder: Path) -> Path:
    """Write a month to a file and its checksum beside it; both are on disk when this returns. Raises OSError, NotArchived.

    Whole files of this very month stay: then one who wrote them was stopped before the month went.
    """
    path = folder / f"events-{month.month}.copy.gz"
    part = path.with_suffix(".part")
    count = int(await connection.fetchval(f"SELECT count(*) FROM {month.table}"))
    header = Header(
        format=FORMAT, month=month.month, from_ms=month.from_ms, till_ms=month.till_ms, events=count, columns=COLUMNS
    )
    is_there = await asyncio.to_thread(_is_whole, path, header)
    if not is_there:
        await asyncio.to_thread(_new_file, path)
    with part.open("wb") as raw:
        with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6, mtime=0) as packed:
            packed.write(msgspec.json.encode(header) + b"\n")

            async def keep(piece: bytes) -> None:
                await asyncio.to_thread(packed.write, piece)

            query = f"SELECT {', '.join(COLUMNS)} FROM {month.table} ORDER BY position"
            await connection.copy_from_query(query, output=keep, timeout=WORK_S)
        raw.flush()
        os.fsync(raw.fileno())
    if is_there:  # as many events may be those of another database that is archived into the same folder
        is_same = await asyncio.to_thread(_content, part) == await asyncio.to_thread(_content, path)
        part.unlink()
        return path if is_same else _new_file(path)
    digest = await asyncio.to_thread(_sha256, part)
    beside = _checksum_of(path)
    beside.write_text(f"{digest}  {path.name}\n")
    for each in (part, beside):
        each.chmod(0o600)  # telephone numbers
    part.rename(path)
    for each in (beside, folder):
        sync(each)
    return path


async def drop(connection: Any, month: Month, now_ms: int) -> int:
    """Take a month out of the log; how many events went. Raises NotArchived. Stopped half-way, it is simply done again.

    First its streams are forgotten. A call that is heard of again after that begins anew; one that was heard of before goes on
    into the next month, and stays whole.
    """
    if why := await hindrances(connection, month, now_ms):
        raise NotArchived(f"{month.month} stays: {'; '.join(why)}")
    async with alone(connection, month.month):
        return await _drop(connection, month)


@contextlib.asynccontextmanager
async def alone(connection: Any, what: str) -> AsyncGenerator[None]:
    """Nobody rebuilds from the log meanwhile, and no other archive writes the file that this one is about to trust.

    Whoever is alone already may be so once more. Raises NotArchived.
    """
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", ONE_AT_A_TIME):
        raise NotArchived(
            f"{what} stays: the read models are being rebuilt from the log, or another archive is at work; "
            "try again when that is done"
        )
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", ONE_AT_A_TIME)


async def _drop(connection: Any, month: Month) -> int:
    await _clear_journal(connection, await connection.fetchval("SELECT begins FROM log_head"))  # of one that was stopped half-way
    await _forget(connection, month)
    head = await connection.fetchval("SELECT last_position FROM log_end()")
    await connection.execute("DROP TABLE IF EXISTS staying")
    await connection.execute(_STAYING.replace("$1", str(month.till_ms)), timeout=WORK_S)
    count, end = await connection.fetchrow(f"SELECT count(*), max(position) FROM {month.table}", timeout=WORK_S)
    for attempt in range(TRIES):
        try:
            async with connection.transaction():
                await limit_transaction(connection, LOCKED_S)
                # Everybody waits from here on: no whole month may be gone through, whatever the planner thinks of a new table.
                await connection.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
                await connection.execute("SELECT FROM log_head FOR UPDATE")
                await connection.execute(f"SET LOCAL lock_timeout = {int(READERS_S * 1000)}")
                if await connection.fetchval(_LEFT, month.till_ms):
                    raise NotArchived(f"{month.month} stays: a call of it has work again; try again later")
                await connection.execute(_STAYING_SINCE, head, month.till_ms)
                await connection.execute(f"ALTER TABLE events DETACH PARTITION {month.table}")
                await connection.execute(
                    f"INSERT INTO events_rest SELECT {_named()} FROM {month.table} e JOIN (SELECT DISTINCT * FROM staying) s"
                    " USING (enterprise, stream)",
                    timeout=WORK_S,
                )
                await connection.execute("UPDATE log_head SET base = greatest(base, $1), begins = greatest(begins, $1)", end or 0)
                await connection.execute("DELETE FROM events_months WHERE month = $1", month.month)
                if month.from_ms < -_FOREVER:  # digests of before 0072 belong to events of before
                    await connection.execute("TRUNCATE signal_digests")
                await connection.execute(f"DROP TABLE {month.table}")
            break
        except asyncpg.LockNotAvailableError:
            if attempt == TRIES - 1:
                raise NotArchived(f"{month.month} stays: somebody reads the log without an end; try again later") from None
            await asyncio.sleep(APART_S)
    await _clear_journal(connection, end or 0)
    return int(count)


async def _clear_journal(connection: Any, upto: int) -> None:
    while (await connection.execute(_JOURNAL, upto)) != "DELETE 0":
        pass


async def _forget(connection: Any, month: Month) -> None:
    """In pages, each as short as an append: nobody waits for it."""
    after = ("", "")
    while True:
        async with connection.transaction():
            await limit_transaction(connection, TRANSACTION_S)
            await connection.execute("SELECT FROM log_head FOR UPDATE")  # an append has just read the version of its stream
            row = await connection.fetchrow(_FORGET, *after, month.till_ms)
        if row is None:
            break
        after = (row["enterprise"], row["stream"])


async def restore(connection: Any, path: Path) -> tuple[Header, int]:
    """Bring a month back; its header, and how many calls of it were begun anew since and stay as they are.

    Raises NotArchived.
    """
    await asyncio.to_thread(_check, path)
    header = await asyncio.to_thread(_header, path)
    if any(each.month == header.month for each in await months(connection)):
        raise NotArchived(f"{header.month} is in the log already: there is nothing to bring back")
    table = f"events_{header.month.replace('-', '_')}"
    try:
        async with connection.transaction():
            begins = "MINVALUE" if header.from_ms < -_FOREVER else str(header.from_ms)
            await connection.execute(f"CREATE TABLE {table} (LIKE events_rest INCLUDING ALL)")
            # By this the server knows without looking that all of it belongs into the month: everybody waits while it looks.
            await connection.execute(
                f"ALTER TABLE {table} ADD CONSTRAINT in_month"
                f" CHECK (recorded_ms >= {header.from_ms} AND recorded_ms < {header.till_ms})"
            )
            async with contextlib.aclosing(_lines(path)) as lines:
                await connection.copy_to_table(
                    table, schema_name="ms", columns=list(header.columns), source=lines, format="text", timeout=WORK_S
                )
            if (count := await connection.fetchval(f"SELECT count(*) FROM {table}")) != header.events:
                raise NotArchived(f"{path} holds {counted(count, 'event')}, not {header.events}: it is damaged, take another copy")
            anew = await connection.fetch(
                f"WITH anew AS (SELECT s.enterprise, s.stream FROM streams s WHERE s.first_ms >= $1 AND EXISTS"
                f" (SELECT FROM {table} t WHERE t.enterprise = s.enterprise AND t.stream = s.stream)),"
                f" gone AS (DELETE FROM {table} t USING anew a WHERE t.enterprise = a.enterprise AND t.stream = a.stream)"
                " SELECT * FROM anew",
                header.till_ms,
                timeout=WORK_S,
            )
            await connection.execute(
                "INSERT INTO streams AS t (enterprise, stream, version, first_ms, last_ms)"
                f" SELECT enterprise, stream, max(version), min(recorded_ms), max(recorded_ms) FROM {table} GROUP BY 1, 2"
                " ON CONFLICT (enterprise, stream) DO UPDATE SET version = greatest(t.version, excluded.version),"
                " first_ms = least(t.first_ms, excluded.first_ms), last_ms = greatest(t.last_ms, excluded.last_ms)",
                timeout=WORK_S,
            )
            await connection.execute(
                "INSERT INTO events_months (month, from_ms, till_ms) VALUES ($1, $2, $3)",
                header.month,
                header.from_ms,
                header.till_ms,
            )
            await connection.execute(
                "DELETE FROM events_rest WHERE recorded_ms >= $1 AND recorded_ms < $2", header.from_ms, header.till_ms
            )
            await connection.execute(
                f"ALTER TABLE events ATTACH PARTITION {table} FOR VALUES FROM ({begins}) TO ({header.till_ms})", timeout=WORK_S
            )
            await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT in_month")
            await _whole_again(connection)
    except asyncpg.PostgresError as error:
        raise NotArchived(f"{path} cannot be brought back: {error.args[0] if error.args else error} ({error.sqlstate})") from error
    return header, len(anew)


async def _whole_again(connection: Any) -> None:
    """Move the place where the log begins to be whole back over the months that are there again without a gap."""
    while True:
        begins = await connection.fetchval(
            "SELECT h.begins FROM log_head h JOIN events e ON e.position = h.begins WHERE e.tableoid <> 'events_rest'::regclass"
        )
        if begins is None:
            return
        table = await connection.fetchval("SELECT tableoid::regclass::text FROM events WHERE position = $1", begins)
        await connection.execute(f"UPDATE log_head SET begins = (SELECT min(position) - 1 FROM {table})")


def _named() -> str:
    return ", ".join(f"e.{name}" for name in COLUMNS)


def _is_whole(path: Path, header: Header) -> bool:
    try:
        _check(path)
        if _header(path) != header:
            return False
    except NotArchived:
        return False
    for each in (path, _checksum_of(path), path.parent):
        sync(each)
    return True


def _new_file(path: Path) -> Path:
    if path.exists():
        raise NotArchived(f"{path} is there already: give another folder, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _content(path: Path) -> str:
    with gzip.open(path, "rb") as packed:
        return hashlib.file_digest(packed, "sha256").hexdigest()


async def _lines(path: Path) -> AsyncGenerator[bytes]:
    with gzip.open(path, "rb") as packed:
        packed.readline()
        while piece := await asyncio.to_thread(packed.read, PIECE):
            yield piece


def _header(path: Path) -> Header:
    try:
        with gzip.open(path, "rb") as packed:
            header = msgspec.json.decode(packed.readline(), type=Header)
    except (OSError, EOFError, msgspec.DecodeError) as error:
        raise NotArchived(f"{path} is no month that ./ms.sh archive wrote: name one of its events-*.copy.gz") from error
    if header.format != FORMAT or not _MONTH.fullmatch(header.month):
        raise NotArchived(f"{path} was written by another version of this service ({header.format}): bring it back with that")
    return header


def _check(path: Path) -> None:
    beside = _checksum_of(path)
    if not path.exists():
        raise NotArchived(f"there is no file {path}")
    if not beside.exists():
        raise NotArchived(f"{beside} is missing: without it nobody knows whether the file is whole: put it beside the file")
    if beside.read_text().split()[:1] != [_sha256(path)]:
        raise NotArchived(f"{path} is damaged: it is not what {beside.name} says, take another copy")


def _checksum_of(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
