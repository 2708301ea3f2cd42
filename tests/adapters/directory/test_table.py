"""The cache in PostgreSQL: the later answer stays, changes are seen by every instance, and it does not grow without end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from adapters.directory import table as tables
from adapters.directory.table import Kept, Table
from adapters.moysklad.per_account import Mark
from core.contacts import ABSENT_KEPT_MS, KEPT_MS, Contact, Known, Owner, Person, Roster
from core.hooks import Changed
from tests.adapters.stores import Stuck
from tests.eventually import until

NOW = 1_795_436_000_000
MARK, OTHER = Mark(b"0" * 16), Mark(b"1" * 16)
IGOR = Person(id="p1", name="Игорь", phone="2")
FIRM = Contact(id="c1", name="ООО «Радуга»", phone="1", persons=(IGOR,), owner=Owner(id="e1"), tags=("a b",))


def known(number: str = "+375290000001", contact: Contact | None = FIRM, asked_ms: int = NOW) -> Known:
    return Known(number=number, asked_ms=asked_ms, contact=contact, matches=1, rule="own phone")


@pytest.fixture
def table(pg_pool: asyncpg.Pool) -> Table:
    return Table(pg_pool, now_ms=lambda: NOW, read_s=2.0)


async def save(table: Table, *what: Known, mark: Mark = MARK, enterprise: str = "0367") -> None:
    for each in what:
        table.save(enterprise, mark, each)
    await table.flush()


async def test_what_is_written_reads_back(table: Table) -> None:
    await save(table, known(), known("+375290000002", None))
    assert await table.find(MARK, "+375290000001") == Kept(known=known(), changed_ms=None)
    assert await table.find(MARK, "+375290000002") == Kept(known=known("+375290000002", None), changed_ms=None)
    assert await table.find(OTHER, "+375290000001") is None
    assert table.unwritten == 0


async def test_the_later_answer_stays_whoever_writes_last(table: Table) -> None:
    await save(table, known(asked_ms=NOW))
    await save(table, known(contact=None, asked_ms=NOW - 1))
    kept = await table.find(MARK, "+375290000001")
    assert kept is not None
    assert kept.known == known()


async def test_what_another_version_wrote_is_as_if_nothing_were_there(table: Table, pg_pool: asyncpg.Pool) -> None:
    await save(table, known())
    await pg_pool.execute("UPDATE directory_contacts SET known = $1", {"number": 5})
    assert await table.find(MARK, "+375290000001") is None


@pytest.mark.parametrize(
    ("changed", "doubted"),
    [
        (Changed(contacts=frozenset({"c1"})), {"+375290000001"}),
        (Changed(persons=frozenset({"p1"})), {"+375290000001"}),
        (Changed(employees=frozenset({"e1"})), {"+375290000001"}),
        (Changed(phones=True), {"+375290000002", "+375290000003"}),
        (Changed(contacts=frozenset({"c2"})), set()),
    ],
)
async def test_a_change_is_doubted_for_every_instance(
    table: Table, pg_pool: asyncpg.Pool, changed: Changed, doubted: set[str]
) -> None:
    blank = replace(FIRM, id="c9", name="375290000003", persons=(), owner=None)
    await save(table, known(), known("+375290000002", None), known("+375290000003", blank))
    await save(table, known(), mark=OTHER, enterprise="0999")
    assert await table.record_change("0367", "r1", changed, NOW + 5)
    rows = await pg_pool.fetch("SELECT number, enterprise FROM directory_contacts WHERE changed_ms = $1", NOW + 5)
    assert {row["number"] for row in rows} == doubted
    assert {row["enterprise"] for row in rows} <= {"0367"}


async def test_a_delivery_counts_once_and_every_instance_hears_of_it(table: Table) -> None:
    changed = Changed(contacts=frozenset({"c1"}), phones=True)
    assert await table.record_change("0367", "r1", changed, NOW)
    assert not await table.record_change("0367", "r1", changed, NOW)
    assert await table.record_change("0999", "r1", changed, NOW)
    heard = await table.changes((), 0.0)
    assert [(each.enterprise, each.changed) for each in heard] == [("0367", changed), ("0999", changed)]
    assert await table.changes([each.id for each in heard], 0.0) == []


async def test_what_was_told_before_is_heard_by_whoever_was_away_for_so_long(table: Table, pg_pool: asyncpg.Pool) -> None:
    await table.record_change("0367", "r1", Changed(staff=True), NOW)
    await pg_pool.execute("UPDATE directory_changes SET at = at - interval '100 s'")
    assert await table.changes((), 60.0) == []
    (heard,) = await table.changes((), 75.0)
    assert 100 <= heard.age_s < 130


async def test_extensions(table: Table) -> None:
    roster = Roster(asked_ms=NOW, extensions=(("e1", "151"),))
    table.save_roster("0367", MARK, roster)
    await table.flush()
    assert await table.find_roster(MARK) == roster
    assert await table.find_roster(OTHER) is None
    await table.record_change("0367", "r1", Changed(staff=True), NOW)
    assert await table.find_roster(MARK) is None


async def test_what_nobody_asks_about_goes(table: Table, pg_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_ROWS_EACH", 2)
    await save(
        table,
        known("1", asked_ms=NOW - KEPT_MS - 1),
        known("2", None, asked_ms=NOW - ABSENT_KEPT_MS - 1),
        *[known(f"3{n}", asked_ms=NOW - n) for n in range(4)],
    )
    await save(table, known("4"), mark=OTHER, enterprise="0999")
    table.save_roster("0367", MARK, Roster(asked_ms=NOW - KEPT_MS - 1))
    await table.flush()
    await table.prune()
    rows = await pg_pool.fetch("SELECT number FROM directory_contacts ORDER BY 1")
    assert [row["number"] for row in rows] == ["30", "31", "4"]
    assert await pg_pool.fetchval("SELECT count(*) FROM directory_rosters") == 0


# -- a database that is slow or away --------------------------------------------------------------------------------


async def test_reads_wait_for_a_moment_and_are_bounded() -> None:
    stuck = Stuck()
    table = Table(stuck, now_ms=lambda: NOW, read_s=0.05)
    async with asyncio.timeout(1):
        found = await asyncio.gather(*[table.find(MARK, str(n)) for n in range(50)])
        assert found == [None] * 50
        assert await table.find(MARK, "1") is None
    assert stuck.asked == tables.READS
    assert table.missed == 51
    stuck.let_go.set()


class Away:
    """A pool whose database is away so many times."""

    def __init__(self, pool: Any, failures: int, error: Exception) -> None:
        self._pool, self._left, self._error = pool, failures, error

    async def execute(self, *what: Any) -> Any:
        """See ``asyncpg.Pool``."""
        self._left -= 1
        if self._left >= 0:
            raise self._error
        return await self._pool.execute(*what)


async def test_what_could_not_be_written_is_written_later(pg_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BACKOFF_S", (0.01,))
    table = Table(Away(pg_pool, 2, ConnectionResetError("gone")), now_ms=lambda: NOW)
    writing = asyncio.create_task(table.run())
    table.save("0367", MARK, known())
    await until(lambda: table.unwritten == 0)
    writing.cancel()
    assert await Table(pg_pool, now_ms=lambda: NOW, read_s=2.0).find(MARK, "+375290000001") is not None


async def test_what_the_database_never_takes_keeps_nothing_else_waiting(pg_pool: asyncpg.Pool) -> None:
    table = Table(Away(pg_pool, 1, asyncpg.DataError("no")), now_ms=lambda: NOW)
    writing = asyncio.create_task(table.run())
    table.save("0367", MARK, known("1"))
    await until(lambda: table.dropped == 1)
    table.save("0367", MARK, known("2"))
    await until(lambda: table.unwritten == 0)
    writing.cancel()
    assert [row["number"] for row in await pg_pool.fetch("SELECT number FROM directory_contacts")] == ["2"]


def test_what_waits_to_be_written_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_UNWRITTEN", 2)
    table = Table(None, now_ms=lambda: NOW)
    for number in ("1", "2", "3", "2"):
        table.save("0367", MARK, known(number))
    assert (table.unwritten, table.dropped) == (2, 1)
