"""What is known of numbers, in PostgreSQL: for the other instances, and for the next start of this one.

Nobody waits for it longer than a caller can wait: a read that does not come in time is given up, and after one that did not the
table is left alone for a moment. What is learned is written behind everybody's back, a batch at a time; what does not fit is not
kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog

from adapters.directory.memory import Key, is_blank, people_of
from adapters.moysklad.per_account import Mark
from adapters.postgres.database import DATABASE_ERRORS, explain, in_time, is_poison, load_sql, still_wanted
from core.contacts import ABSENT_KEPT_MS, KEPT_MS, Known, Roster
from core.hooks import Changed

log = structlog.get_logger("directory")

READ_S: Final = 0.12
"""A ringing telephone waits no longer for the table."""
READS: Final = 4
"""Reads at once: the calls use the same pool."""
SULK_S: Final = 1.0
"""After a read that did not come in time the table is not asked for so long."""
WRITE_S: Final = 10.0
MAX_UNWRITTEN: Final = 5_000
"""Numbers that wait to be written. What is beyond is not kept: the next question learns it again."""
BATCH: Final = 200
BACKOFF_S: Final = (0.2, 1.0, 5.0)
MAX_ROWS_EACH: Final = 100_000
"""Numbers kept of one enterprise."""
CHANGES_KEPT_S: Final = 86_400
LOOK_BACK_S: Final = 30.0
MAX_CHANGES_READ: Final = 1_000

_READ, _SAVE, _CHANGED = load_sql("directory_read"), load_sql("directory_save"), load_sql("directory_changed")
_PRUNE, _BLANK = load_sql("directory_prune"), load_sql("directory_changed_blank")
_ROSTER, _SAVE_ROSTER = load_sql("directory_roster_read"), load_sql("directory_roster_save")
_ADD_CHANGE, _CHANGES = load_sql("directory_change_add"), load_sql("directory_changes_read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A row: what was known, and when MoySklad last told of a change that concerns it."""

    known: Known
    changed_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One delivery of a webhook, as any instance recorded it, so many seconds ago."""

    id: int
    enterprise: str
    at_ms: int
    changed: Changed
    age_s: float


class Table:
    """See the module. ``run`` writes what is learned, until cancelled."""

    def __init__(self, pool: Any, *, now_ms: Callable[[], int], read_s: float = READ_S) -> None:
        self._pool = pool
        self._now_ms = now_ms
        self._read_s = read_s
        self._reading = 0
        self._sulks_until = float("-inf")
        self._unwritten: dict[Key, tuple[str, Known]] = {}
        self._rosters: dict[Mark, tuple[str, Roster]] = {}
        self._bell = asyncio.Event()
        self.dropped = 0
        self.missed = 0

    @property
    def unwritten(self) -> int:
        """Numbers that wait to be written."""
        return len(self._unwritten) + len(self._rosters)

    async def find(self, mark: Mark, number: str) -> Kept | None:
        """The row of a number; None when there is none, or it cannot be had in time."""
        row = await self._ask(lambda: self._pool.fetchrow(_READ, bytes(mark), number))
        if row is None:
            return None
        try:
            return Kept(known=msgspec.convert(row["known"], Known), changed_ms=row["changed_ms"])
        except msgspec.ValidationError:
            return None  # an older or newer version of the service wrote it: it is asked for anew

    async def find_roster(self, mark: Mark) -> Roster | None:
        """Who has which extension, likewise."""
        row = await self._ask(lambda: self._pool.fetchrow(_ROSTER, bytes(mark)))
        try:
            return None if row is None else msgspec.convert(row["roster"], Roster)
        except msgspec.ValidationError:
            return None

    def save(self, enterprise: str, mark: Mark, known: Known) -> None:
        """Write it soon."""
        key = (mark, known.number)
        if key not in self._unwritten and len(self._unwritten) >= MAX_UNWRITTEN:
            self.dropped += 1
            return
        self._unwritten[key] = (enterprise, known)
        self._bell.set()

    def save_roster(self, enterprise: str, mark: Mark, roster: Roster) -> None:
        """Likewise."""
        if mark in self._rosters or len(self._rosters) < MAX_UNWRITTEN:
            self._rosters[mark] = (enterprise, roster)
            self._bell.set()

    async def record_change(self, enterprise: str, request: str, changed: Changed, at_ms: int) -> bool:
        """Doubt what a change concerns, for every instance; False for a delivery that was recorded before. Raises database
        errors."""
        told = msgspec.to_builtins(changed)
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(_ADD_CHANGE, enterprise, request, at_ms, told) is None:
                return False
            people = sorted(changed.contacts | changed.persons | changed.employees)
            await connection.execute(_CHANGED, enterprise, people, at_ms)
            if changed.phones:
                await connection.execute(_BLANK, enterprise, at_ms)
            if changed.staff:
                await connection.execute("DELETE FROM directory_rosters WHERE enterprise = $1", enterprise)
        return True

    async def changes(self, seen: Iterable[int], since_s: float) -> list[Change]:
        """Deliveries since so long ago, and of half a minute before that, which are not among ``seen``; the oldest first, and no
        more than ``MAX_CHANGES_READ``. Raises database errors."""
        rows = await in_time(self._pool.fetch(_CHANGES, LOOK_BACK_S + since_s, list(seen), MAX_CHANGES_READ), WRITE_S)
        return [
            Change(
                id=row["id"],
                enterprise=row["enterprise"],
                at_ms=row["at_ms"],
                changed=msgspec.convert(row["changed"], Changed),
                age_s=row["age_s"],
            )
            for row in rows
        ]

    async def prune(self) -> None:
        """Forget what nobody asks about. Raises database errors."""
        now_ms = self._now_ms()
        await self._pool.execute(_PRUNE, now_ms - KEPT_MS, now_ms - ABSENT_KEPT_MS, MAX_ROWS_EACH)
        await self._pool.execute("DELETE FROM directory_rosters WHERE asked_ms < $1", now_ms - KEPT_MS)
        await self._pool.execute(
            "DELETE FROM directory_changes WHERE at < clock_timestamp() - make_interval(secs => $1)", CHANGES_KEPT_S
        )

    async def run(self) -> None:
        """Write what is learned."""
        failures = 0
        while True:
            await self._bell.wait()
            self._bell.clear()
            try:
                while self._unwritten or self._rosters:
                    await self.flush()
                failures = 0
            except DATABASE_ERRORS as error:
                still_wanted(error)
                if is_poison(error):
                    log.error("directory_not_writable", reason=explain(error))
                    self._let_go()
                    continue
                if not failures:
                    log.warning("directory_not_written", reason=explain(error), waiting=self.unwritten)
                self._bell.set()
                await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1

    def _let_go(self) -> None:
        """What the database will never take must not keep the rest waiting: it is learned again when somebody asks."""
        for key in list(self._unwritten)[:BATCH]:
            del self._unwritten[key]
            self.dropped += 1
        self._rosters.clear()
        self._bell.set()

    async def flush(self) -> None:
        """Write a batch now. Raises database errors; what was not written then waits for the next time."""
        batch = dict(list(self._unwritten.items())[:BATCH])
        if batch:
            columns = zip(*(_row(mark, enterprise, known) for (mark, _), (enterprise, known) in batch.items()), strict=True)
            await in_time(self._pool.execute(_SAVE, *map(list, columns)), WRITE_S)
            for key, written in batch.items():
                if self._unwritten.get(key) is written:
                    del self._unwritten[key]
        for mark, (enterprise, roster) in list(self._rosters.items())[:BATCH]:
            told = msgspec.to_builtins(roster)
            await in_time(self._pool.execute(_SAVE_ROSTER, bytes(mark), enterprise, told, roster.asked_ms), WRITE_S)
            if self._rosters.get(mark) == (enterprise, roster):
                del self._rosters[mark]

    async def _ask(self, question: Callable[[], Any]) -> Any:
        """The answer if it comes in time; None otherwise."""
        loop = asyncio.get_running_loop()
        if self._reading >= READS or loop.time() < self._sulks_until:
            self.missed += 1
            return None
        self._reading += 1
        try:
            return await in_time(question(), self._read_s)
        except DATABASE_ERRORS as error:
            still_wanted(error)
            self.missed += 1
            self._sulks_until = loop.time() + SULK_S
        finally:
            self._reading -= 1
        return None


def _row(mark: Mark, enterprise: str, known: Known) -> tuple[Any, ...]:
    contact = known.contact
    return (
        bytes(mark),
        known.number,
        enterprise,
        contact.id if contact is not None else None,
        " ".join(people_of(known)),
        is_blank(known),
        msgspec.to_builtins(known),
        known.asked_ms,
    )
