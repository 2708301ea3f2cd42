"""Years of calls in minutes: what the service itself recorded of a few calls, multiplied and written by COPY.

Nothing is made up: a call of each kind is played through the real service beside the sandbox, under a clock of ours. All rows
that any table has of it become templates: ids, number, enterprise, times and places in the log are blanks, and each copy fills
them anew. So a new column, table or event type is in the history as soon as the service writes it. Calls of one block overlap
in the log, as calls that go on at once do. Sums over calls (``statistics_*``) are computed from the calls afterwards.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

import asyncpg

from adapters.postgres.database import connect
from adapters.postgres.switchboard_state import PostgresSwitchboardState
from adapters.switchboard import Switchboard
from bench.ground import Ground
from bench.parts import STARTS_MS, Parts, parts
from bench.sizes import Size
from bench.stage import configure_enterprises
from bench.work import Call, enterprise_name
from core.signals import Wire

AT_ONCE: Final = 64
"""Calls of one block: so many go on at once, their commits mixed in the log."""

FLUSH_BYTES: Final = 16 * 1024 * 1024
SPAN_MS: Final = 365 * 86_400_000
ENDS_MS: Final = STARTS_MS + 86_400_000
"""A history ends a day after the clock of the parts begins."""

MARK: Final = "q7k"
"""Begins the id of each call that is copied, in the example and in the copies: letters that occur nowhere else."""

NUMBER: Final = "375298"
"""Begins the customer's number in the example; the copies differ in what follows."""

ENTERPRISE: Final = 0
KINDS: Final = ("answered", "missed", "outgoing", "answered", "internal")
"""The kinds of the blocks, in turn; ``live`` and ``waiting`` calls are made by name only."""

PER_CALL: Final = (
    "streams", "switchboard_calls", "switchboard_members", "switchboard_links", "calls",
    "public.integration_logs",
)  # fmt: skip
"""Tables with rows of single calls, besides the events."""

LEFT_OUT: Final[Mapping[str, str]] = {"calls": "tail", "public.integration_logs": "id"}
"""Columns that the database makes by itself."""

_BLANK: Final = re.compile(
    rf"(?P<nth>{MARK}\d{{8}})|(?P<phone>{NUMBER}\d{{6}})|(?P<id>\b[0-9a-f]{{8}}(?=-[0-9a-f]{{4}}-))"
    r"|(?P<digest>(?<=\\\\x)[0-9a-f]{8})|(?P<ms>\b1[78]\d{11}\b)|(?P<stamp>\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A call as every table has it. ``events``: a template for each, in the order of the log, those of one commit together;
    ``rows``: the other tables' lines."""

    events: tuple[tuple[str, ...], ...]
    rows: Mapping[str, tuple[str, ...]]
    times: tuple[int, ...]
    stamps: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was written: how many calls and events, and where the log ends."""

    calls: int
    events: int
    head: int


async def examples(place: Ground, kinds: Sequence[str]) -> tuple[dict[str, Example], dict[str, str]]:
    """A call of each kind, as played to its end (``live``: talked, ``waiting``: ended, MoySklad knows nothing of it); columns."""
    found: dict[str, Example] = {}
    columns: dict[str, str] = {}
    for nth, kind in enumerate(dict.fromkeys(kinds)):
        async with place.database() as dsn, parts(dsn, json_api=False) as house:
            made = Call(
                id=f"{MARK}{nth:08}",
                enterprise=enterprise_name(ENTERPRISE),
                number=f"{NUMBER}{nth:06}",
                start_s=house.clock.now_ms / 1000,
            )
            await _play(house, made, kind)
            await house.service.runner.catch_up()
            connection = await connect(dsn)
            try:
                columns = {table: await _columns(connection, table) for table in ("events", *PER_CALL)}
                found[kind] = await _example(connection, made, columns)
            finally:
                await connection.close()
    return found, columns


async def _play(house: Parts, made: Call, kind: str) -> None:
    """``live`` ends where the talk begins; ``waiting`` is taken in while nobody works, as during an outage."""
    service = house.service
    if kind == "waiting":
        state = PostgresSwitchboardState(service.pool)
        deaf = Switchboard(state=state, store=service.store, wake_call=lambda _: None, now_ms=house.clock)
        for _, body in made.bodies("answered"):
            await service.ingest.take(Wire.CALL_EVENT, body)
            house.clock.now_ms += 700
        while await deaf.step():
            pass
        return
    if kind == "live":
        for event, body in made.bodies("answered"):
            if event == "bridge_leave":
                return
            await service.ingest.take(Wire.CALL_EVENT, body)
            await house.settle()
            await house.wait(700)
        return
    await house.play(made, kind)
    await house.wait(60_000)


async def _columns(connection: asyncpg.Connection, table: str) -> str:
    schema, _, name = table.rpartition(".")
    rows = await connection.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position",
        schema or "ms",
        name,
    )
    return ", ".join(row[0] for row in rows if row[0] != LEFT_OUT.get(table))


async def _lines(connection: asyncpg.Connection, query: str) -> list[str]:
    told = io.BytesIO()
    await connection.copy_from_query(query, output=told)
    return told.getvalue().decode().splitlines()


async def _example(connection: asyncpg.Connection, made: Call, columns: Mapping[str, str]) -> Example:
    events = await _lines(connection, f"SELECT {columns['events']} FROM events ORDER BY position")
    rows = {
        table: tuple(
            line
            for line in await _lines(connection, f"SELECT {columns[table]} FROM {table}")
            if made.id in line or made.number in line
        )
        for table in PER_CALL
    }
    blanks = _Blanks(made)
    names = columns["events"].split(", ")
    place, recorded = names.index("position"), names.index("recorded_ms")
    commits = [
        tuple(blanks.line(line, (place,)) for line in lines)
        for _, lines in groupby(events, lambda line: line.split("\t")[recorded])
    ]
    others = {table: tuple(blanks.line(line, _places(columns[table])) for line in found) for table, found in rows.items()}
    return Example(events=tuple(commits), rows=others, times=tuple(blanks.times), stamps=tuple(blanks.stamps))


def _places(columns: str) -> tuple[int, ...]:
    """Which columns hold a place in the log."""
    return tuple(nth for nth, name in enumerate(columns.split(", ")) if name in ("position", "ms_position"))


class _Blanks:
    """Turns lines of COPY into templates for ``%`` with a dictionary; remembers which times they need."""

    def __init__(self, made: Call) -> None:
        self._made = made
        self.times: dict[int, None] = {}
        self.stamps: dict[int, None] = {}

    def line(self, text: str, places: Sequence[int]) -> str:
        """The line with blanks. ``places``: fields that hold a place in the log, which is the number of the event here."""
        fields = text.split("\t")
        made = [
            f"%(p{int(field)})d" if nth in places and field != "\\N" else _BLANK.sub(self._blank, field.replace("%", "%%"))
            for nth, field in enumerate(fields)
        ]
        made = ["%(e)s" if field == self._made.enterprise else field for field in made]
        return "\t".join(made) + "\n"

    def _blank(self, found: re.Match[str]) -> str:
        text = found.group()
        match found.lastgroup:
            case "nth":
                return f"{MARK}%(n)08d"
            case "phone":
                return f"{NUMBER}%(f)06d"
            case "id" | "digest":
                return "%(x)08x"
            case "ms":
                self.times[int(text) - STARTS_MS] = None
                return f"%(t{int(text) - STARTS_MS})d"
            case "stamp":
                at_ms = round(datetime.fromisoformat(text).timestamp() * 1000) - STARTS_MS
                self.stamps[at_ms] = None
                return f"%(s{at_ms})s"
            case _:
                raise AssertionError(text)


async def make(
    place: Ground,
    dsn: str,
    events: int,
    *,
    enterprises: int,
    kinds: Sequence[str] = KINDS,
    ends_ms: int = ENDS_MS,
    span_ms: int = SPAN_MS,
    first: int = 1,
) -> Made:
    """Write a history of at least so many events into a migrated database; calls number from ``first``.

    Call kinds follow each other in blocks of :data:`AT_ONCE`. Read models and checkpoints are as if they had followed.
    """
    found, columns = await examples(place, kinds)
    connection = await connect(dsn, statement_s=3_600.0)
    try:
        await connection.execute("SET synchronous_commit = off")
        head = int(await connection.fetchval("SELECT last_position FROM log_end()"))
        if not head:
            await _months(connection, ends_ms - span_ms)
        sizes = {kind: sum(map(len, example.events)) for kind, example in found.items()}
        plan = list(_blocks(sizes, kinds, events))
        writer = _Writer(connection, columns)
        nth, written = first, 0
        for block, kind in enumerate(plan):
            starts_ms = ends_ms - span_ms + block * span_ms // max(1, len(plan))
            for table, text in block_of(found[kind], nth, head + written, starts_ms, enterprises):
                await writer.add(table, text)
            nth += AT_ONCE
            written += AT_ONCE * sizes[kind]
            if block % 256 == 255:
                place.say(f"history: {written} of {events} events")
        await writer.flush()
        await connection.execute(SUMS)
        await connection.execute(FOLLOWED, head + written)
        await connection.execute("VACUUM ANALYZE", timeout=1_800)
    finally:
        await connection.close()
    return Made(calls=nth - first, events=written, head=head + written)


async def _months(connection: asyncpg.Connection, since_ms: int) -> None:
    """As if the service had run since then: a month each, where a new database has one for all that was before."""
    await connection.execute(NO_MONTHS)
    await connection.fetch("SELECT events_month(day::date) FROM generate_series(to_timestamp($1), now(), interval '28 days') AS day"
                           " UNION ALL SELECT events_month(now()::date)", since_ms / 1000)  # fmt: skip


def _blocks(sizes: Mapping[str, int], kinds: Sequence[str], events: int) -> Iterator[str]:
    made = nth = 0
    while made < events:
        kind = kinds[nth % len(kinds)]
        yield kind
        made += AT_ONCE * sizes[kind]
        nth += 1


def block_of(example: Example, first: int, head: int, starts_ms: int, enterprises: int) -> Iterator[tuple[str, str]]:
    """One block of calls as ``(table, lines)``: the first commit of each call, then the second of each, and so on."""
    filled = [_values(example, first + nth, nth, head, starts_ms + nth * 97, enterprises) for nth in range(AT_ONCE)]
    for commit in example.events:
        yield "events", "".join([template % values for values in filled for template in commit])
    for table, templates in example.rows.items():
        if templates:
            yield table, "".join([template % values for values in filled for template in templates])


def _values(example: Example, nth: int, place: int, head: int, starts_ms: int, enterprises: int) -> dict[str, Any]:
    values: dict[str, Any] = {f"t{each}": starts_ms + each for each in example.times}
    for each in example.stamps:
        values[f"s{each}"] = datetime.fromtimestamp((starts_ms + each) / 1000, UTC).isoformat(sep=" ")
    before = 0
    for commit in example.events:
        for each in range(len(commit)):
            values[f"p{before + each + 1}"] = head + before * AT_ONCE + place * len(commit) + each + 1
        before += len(commit)
    # A quarter of all calls is one large company's; ids are spread over the whole range, as random ones are.
    company = 0 if nth % 4 == 0 else nth % enterprises
    return values | {"n": nth, "f": nth * 829_348_951 % 1_000_000, "x": nth * 2_654_435_761 % 2**32, "e": enterprise_name(company)}


class _Writer:
    """Collects lines of each table and copies them in large pieces."""

    def __init__(self, connection: asyncpg.Connection, columns: Mapping[str, str]) -> None:
        self._connection = connection
        self._columns = columns
        self._texts: dict[str, list[str]] = {}
        self._bytes = 0

    async def add(self, table: str, text: str) -> None:
        self._texts.setdefault(table, []).append(text)
        self._bytes += len(text)
        if self._bytes >= FLUSH_BYTES:
            await self.flush()

    async def flush(self) -> None:
        for table, texts in self._texts.items():
            schema, _, name = table.rpartition(".")
            await self._connection.copy_to_table(
                name,
                schema_name=schema or "ms",
                columns=self._columns[table].split(", "),
                source=io.BytesIO("".join(texts).encode()),
                format="text",
                timeout=600,
            )
        self._texts, self._bytes = {}, 0


SUMS: Final = """
TRUNCATE statistics_calls, statistics_people;
INSERT INTO statistics_calls
SELECT enterprise, started_ms / 3600000 * 3600000, direction, outcome, count(*), sum(talk_ms), count(wait_ms),
    coalesce(sum(wait_ms), 0), count(*) FILTER (WHERE talk_ms > 0)
FROM calls WHERE outcome IS NOT NULL AND direction <> 'internal' GROUP BY 1, 2, 3, 4;
INSERT INTO statistics_people
SELECT enterprise, started_ms / 3600000 * 3600000, e, direction, count(*), count(*) FILTER (WHERE e = ANY (talked)),
    count(*) FILTER (WHERE outcome <> 'answered'), sum(talk_ms), count(wait_ms), coalesce(sum(wait_ms), 0)
FROM calls, unnest(extensions) AS e WHERE outcome IS NOT NULL AND direction <> 'internal' GROUP BY 1, 2, 3, 4;
"""
NO_MONTHS: Final = """
DO $$
DECLARE first record;
BEGIN
    SELECT * INTO first FROM events_months WHERE from_ms < 0;
    EXECUTE format('DROP TABLE %I', 'events_' || replace(first.month, '-', '_'));
    DELETE FROM events_months WHERE month = first.month;
END $$
"""
FOLLOWED: Final = """
INSERT INTO checkpoints (name, position) SELECT unnest(ARRAY['calls', 'clicks', 'journal', 'statistics', 'switchboard']), $1
ON CONFLICT (name) DO UPDATE SET position = excluded.position
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A history that several rows look at."""

    dsn: str
    made: Made
    enterprises: int

    def name(self, nth: int) -> tuple[str, str, str]:
        """Enterprise, call and number of its nth call, from 0."""
        values = _values(Example(events=(), rows={}, times=(), stamps=()), nth + 1, 0, 0, 0, self.enterprises)
        return values["e"], f"{MARK}{values['n']:08d}.1", f"{NUMBER}{values['f']:06d}"


async def kept(place: Ground, events: int, size: Size) -> Kept:
    """A database with so many events, made when it is first asked for; it is gone with the server."""
    found = place.kept.get(events)
    if found is None:
        dsn = await place.lasting_database()
        await configure_enterprises(dsn, size.enterprises)
        place.say(f"making a history of {events} events")
        made = await make(place, dsn, events, enterprises=size.enterprises)
        found = place.kept[events] = Kept(dsn=dsn, made=made, enterprises=size.enterprises)
    assert isinstance(found, Kept)
    return found
