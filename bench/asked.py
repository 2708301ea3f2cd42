"""How many requests of the Phone API a call costs, and how much disk and memory."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from adapters.archive import drop, export, months, restore
from adapters.postgres.database import connect
from bench import history
from bench.cards import calm
from bench.figures import Figure, Spread, number
from bench.folding import weigh
from bench.ground import Ground, child, resident_bytes
from bench.parts import KNOWN_NUMBER, Parts, parts, wall_ms
from bench.restart import live_calls
from bench.sizes import Size
from bench.stage import configure_enterprises, running
from bench.work import Call

MOST: Final = 3
WHERE_ALLOWED: Final = 2
OUTGOING: Final = 4
"""Ringing, answer, end, and a record that waits for where the customer may have been handed on (docs/decisions/0003)."""
RESIDENT_MB: Final = 250.0
RESIDENT_CALLS: Final = 100_000
CALLS_A_DAY: Final = 100
ENTERPRISES: Final = 10_000

TABLES: Final = """
SELECT CASE WHEN relname ~ '^(events|calls|streams|switchboard|statistics|integration_logs)'
            THEN regexp_replace(relname, '^(events|switchboard|statistics)_.*', '\\1_*') ELSE 'the rest' END AS name,
       sum(pg_total_relation_size(c.oid))::bigint AS bytes, sum(pg_indexes_size(c.oid))::bigint AS indexes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname IN ('ms', 'public') GROUP BY 1 ORDER BY 2 DESC
"""


async def measure(place: Ground, size: Size) -> list[Figure]:
    """Play single calls of a known customer through the parts and count what the sandbox was asked."""
    found = []
    plays = (
        ("answered incoming, all signals, a ring group of three", "answered", None, 700, MOST),
        ("answered incoming, only dial and hangup come", "answered", ("dial", "hangup"), 20_000, WHERE_ALLOWED),
        ("missed", "missed", None, 700, MOST),
        ("answered outgoing", "outgoing", None, 700, OUTGOING),
    )
    for nth, (what, kind, only, apart_ms, most) in enumerate(plays):
        async with place.database() as dsn, parts(dsn) as house:
            count, lines = await _requests(house, nth, kind, only, apart_ms)
        found.append(
            Figure(
                row="requests",
                what=f"Phone API requests: {what}",
                value=Spread(median=count, low=count, high=count, rounds=1),
                unit="requests",
                target=most,
                at_most=True,
                beside={"they are": lines},
                limit="the Phone API takes 20 requests a second of an account",
            )
        )
    return found


async def _requests(house: Parts, nth: int, kind: str, only: tuple[str, ...] | None, apart_ms: int) -> tuple[int, str]:
    made = Call(id=f"q{nth:08}", enterprise="1000", number=KNOWN_NUMBER, start_s=house.clock.now_ms / 1000)
    await house.play(made, kind, only=only, apart_ms=apart_ms)
    await house.wait(60_000)
    asked = [each for each in house.requests() if each.api == "phone"]
    said = [f"{each.method} {_actions(each.body)}" for each in asked]
    return len(asked), "; ".join(said)


def _actions(body: object) -> str:
    """What a request was for: its cards, and the fields of the record."""
    if not isinstance(body, dict):
        return ""
    cards = [str(event.get("eventType")) for event in body.get("events", ())]
    return " ".join([*cards, *(name for name in ("endTime", "extension", "comment", "recordUrl") if body.get(name))])


async def memory(place: Ground, size: Size) -> list[Figure]:
    """What a folded call weighs, and what a service holds that attends to many live calls, beside one that attends to none."""
    held: dict[str, int] = {}
    async with child(place, "local_api") as api:
        port = (await api.ask("port"))["port"]
        calls = 0
        for name, wanted in (("none", 0), ("live", size.memory_calls)):
            async with place.database() as dsn:
                await configure_enterprises(dsn, size.enterprises)
                if wanted:
                    calls = await live_calls(place, dsn, wanted, size.enterprises)
                    await _due_now(dsn)
                async with running(place, dsn, port) as (made,):
                    await asyncio.sleep(min(3.0, size.side_s * 2))
                    await calm(dsn, patience_s=1_200.0)
                    held[name] = resident_bytes(made.pid)
    more_mb = (held["live"] - held["none"]) / 2**20
    scaled = held["none"] / 2**20 + more_mb * RESIDENT_CALLS / calls
    return [
        await weigh(place, size),
        Figure(
            row="memory",
            what=f"the whole service with {RESIDENT_CALLS} live calls"
            + ("" if calls >= RESIDENT_CALLS else f" (from {calls} of them)"),
            value=Spread(median=scaled, low=scaled, high=scaled, rounds=1),
            unit="MB",
            target=RESIDENT_MB,
            at_most=True,
            beside={
                "without calls": f"{number(held['none'] / 2**20)} MB",
                "more with them": f"{number(more_mb)} MB, {number(more_mb * 1024 / calls)} KB a call",
            },
            doubt="the attendant keeps 20,000 folded calls at most; the rest it folds again when it needs them",
        ),
    ]


async def _due_now(dsn: str) -> None:
    """As after a restart: every live call is looked at once."""
    connection = await connect(dsn)
    try:
        await connection.execute("UPDATE streams SET due_ms = $1 WHERE due_ms IS NOT NULL", wall_ms())
    finally:
        await connection.close()


async def disk(place: Ground, size: Size) -> list[Figure]:
    """What each call leaves on disk, by table, in the large history, after VACUUM."""
    kept = await history.kept(place, size.history, size)
    connection = await connect(kept.dsn, statement_s=600.0)
    try:
        rows = await connection.fetch(TABLES)
    finally:
        await connection.close()
    calls = kept.made.calls
    whole = sum(row["bytes"] for row in rows) / calls
    year = whole * CALLS_A_DAY * 365 * ENTERPRISES
    return [
        Figure(
            row="disk",
            what="bytes a call, all tables and indexes",
            value=Spread(median=whole, low=whole, high=whole, rounds=1),
            unit="bytes",
            beside={
                **{row["name"]: f"{number(row['bytes'] / calls)} (indexes {number(row['indexes'] / calls)})" for row in rows},
                "events a call": number(kept.made.events / calls),
                f"a year of {ENTERPRISES} enterprises with {CALLS_A_DAY} calls a day": f"{number(year / 2**40)} TB",
            },
        )
    ]


async def archive(place: Ground, size: Size) -> list[Figure]:
    """What it takes to keep the history short: a whole month of the large one into a file, out of the log, and back."""
    kept = await history.kept(place, size.history, size)
    connection = await connect(kept.dsn, statement_s=3_600.0)
    clock = time.perf_counter
    try:
        # Other rows leave read models and alarms half-way: nobody goes on with them.
        await connection.execute("UPDATE checkpoints SET position = (SELECT last_position FROM log_end())")
        await connection.execute("UPDATE streams SET due_ms = NULL WHERE due_ms IS NOT NULL")
        month = (await months(connection))[1]
        at = clock()
        file = await export(connection, month, place.folder / "archive")
        written_s, at = clock() - at, clock()
        count = await drop(connection, month, wall_ms())
        dropped_s, at = clock() - at, clock()
        await restore(connection, file)
        back_s = clock() - at
    finally:
        await connection.close()
    return [
        Figure(
            row="archive",
            what=f"a month of {count} events leaves the log",
            value=Spread(median=dropped_s, low=dropped_s, high=dropped_s, rounds=1),
            unit="s",
            beside={
                "before, into a file": f"{number(written_s)} s",
                "back from it": f"{number(back_s)} s",
                "on disk": f"{number(month.bytes_ / 2**20)} MB; the file: {number(file.stat().st_size / 2**20)} MB",
            },
        )
    ]
