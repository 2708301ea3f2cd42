"""``statistics_*``: calls, talks, times to answer and MoySklad's response times by the hour (PRODUCT F9), and employees' names.

What a call counts for may change as more is heard of it: a batch adds what its calls count for after it, and takes away what
they counted for before it. So the sums depend on the events alone, however the log was cut into batches.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from core.events import EffectDone, EffectFailed, EffectRefused, Event, Exchange, decode
from core.ports import LogPage, ProjectionDb, RecordedEvent
from core.self_test import is_test
from core.values import Outcome
from projections.folded import PAUSE_EVERY, PREFIX, Change, Folded, FoldedCalls

HOUR_MS: Final = 3_600_000

BOUNDS_MS: Final = (10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1_000, 1_500, 2_000, 3_000, 5_000, 7_500, 10_000, 15_000)
"""Upper bounds of the response times that are counted together; one more takes what took longer. Their order is stored."""

NAME_CHARS: Final = 200

_SQL: Final = Path(__file__).parent / "sql"
_CALLS: Final = (_SQL / "statistics_calls.sql").read_text()
_PEOPLE: Final = (_SQL / "statistics_people.sql").read_text()
_REQUESTS: Final = (_SQL / "statistics_requests.sql").read_text()
_NAMES: Final = (_SQL / "statistics_names.sql").read_text()

_ANEW_BEGIN: Final = (_SQL / "statistics_anew_begin.sql").read_text()
_ANEW_NAMES: Final = (_SQL / "statistics_anew_names.sql").read_text()
_ANEW_FINISH: Final = (_SQL / "statistics_anew_finish.sql").read_text()
_TIDY_CALLS: Final = (_SQL / "statistics_tidy_calls.sql").read_text()
_TIDY_PEOPLE: Final = (_SQL / "statistics_tidy_people.sql").read_text()

_ANSWERS: Final = (EffectDone, EffectFailed, EffectRefused)
_ANSWERED: Final = tuple(kind.type for kind in _ANSWERS)

Key = tuple[Any, ...]
Sums = dict[Key, list[int]]
Row = Mapping[str, Any]
"""A call's row (``projections/call_row.py``)."""


class Statistics:
    """Keeps the tables."""

    name = "statistics"

    def __init__(self, folded: FoldedCalls | None = None) -> None:
        self._folded = folded or FoldedCalls()
        self._asked = _Asked()

    async def apply(self, db: ProjectionDb, events: Sequence[RecordedEvent]) -> None:
        """Count one batch of the log. What MoySklad was asked changes no number of a call, and self-tests count for nothing."""
        changes = [each for each in await self._folded.changes(db, events) if each.heard and not is_test(each.after.state.id)]
        await _count_calls(db, changes)
        await _count_requests(db, events)

    async def begin_anew(self, db: ProjectionDb) -> None:
        """Empty the tables beside."""
        await db.execute(_ANEW_BEGIN)

    async def take_anew(self, db: ProjectionDb, page: LogPage) -> None:
        """Fold it, and count its requests."""
        await self._folded.anew.take(db, page)
        for line, event in zip(page.lines, self._folded.anew.events(page), strict=True):
            if event is not None and type(event) in _ANSWERS and not is_test(line[1].removeprefix(PREFIX)):
                self._asked.add(line[0], event, line[3])

    async def end_piece(self, db: ProjectionDb) -> None:
        """Add to the tables beside what the piece counts for."""
        by_call: Sums = {}
        by_person: Sums = {}
        for change in self._folded.anew.changes():
            if not is_test(change.after.state.id):
                count(change.before, -1, by_call, by_person)
                count(change.after, 1, by_call, by_person)
        for sql, sums in ((_CALLS, by_call), (_PEOPLE, by_person)):
            rows = [(*key, *values) for key, values in sorted(sums.items()) if any(values)]
            if rows:
                await db.execute(_beside(sql), *columns(rows))
        asked, self._asked = self._asked, _Asked()
        if asked.sums:
            await db.execute(_beside(_REQUESTS), *asked.requests())
        if asked.names:
            await db.execute(_ANEW_NAMES, *columns([(*key, *told) for key, told in sorted(asked.names.items())]))

    async def finish_anew(self, db: ProjectionDb) -> None:
        """Put the sums in the place of the old ones. Where history was archived, hours of before it began stay as they were."""
        for statement in _ANEW_FINISH.split(";\n"):
            await db.execute(statement)


def _beside(sql: str) -> str:
    """The same statement on the table beside."""
    return sql.replace("INTO statistics_", "INTO anew_statistics_")


async def _count_calls(db: ProjectionDb, changes: Sequence[Change]) -> None:
    by_call: Sums = {}
    by_person: Sums = {}
    for nth, change in enumerate(changes, 1):
        count(change.before, -1, by_call, by_person)
        count(change.after, 1, by_call, by_person)
        if nth % PAUSE_EVERY == 0:
            await asyncio.sleep(0)
    await _write(db, _CALLS, by_call, _TIDY_CALLS)
    await _write(db, _PEOPLE, by_person, _TIDY_PEOPLE)


def count(folded: Folded, sign: int, by_call: Sums, by_person: Sums) -> None:
    """Add (or take away) what a call counts for; one of which nothing was heard counts for nothing."""
    if folded.state.version:
        _add(by_call, call_counts(folded.row), sign)
        _add(by_person, people_counts(folded.row), sign)


def _add(sums: Sums, counts: Iterable[tuple[Key, tuple[int, ...]]], sign: int) -> None:
    for key, values in counts:
        known = sums.setdefault(key, [0] * len(values))
        for index, value in enumerate(values):
            known[index] += sign * value


async def _write(db: ProjectionDb, sql: str, sums: Sums, tidy: str) -> None:
    rows = [(*key, *values) for key, values in sorted(sums.items()) if any(values)]
    if rows:
        await db.execute(sql, *columns(rows))
    if lessened := sorted({key[:2] for key, values in sums.items() if values[0] < 0}):
        await db.execute(tidy, *columns(lessened))  # what counts for nothing any more leaves no row


def columns(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows as the arrays of one statement."""
    return [list(column) for column in zip(*rows, strict=True)]


# -- what a call counts for -----------------------------------------------------------------------------------------


def call_counts(row: Row) -> Iterator[tuple[Key, tuple[int, ...]]]:
    """``(enterprise, hour, direction, outcome) -> (calls, talk_ms, waits, wait_ms, talks)``, from the call's row.

    ``talks``: calls whose talk was heard: also of one whose dial was lost, whose wait nobody knows.
    """
    if not _counts(row):
        return
    waited, talk_ms = row["wait_ms"], sum(row["talked_ms"])
    key = (row["enterprise"], _hour_ms(row), row["direction"], row["outcome"])
    yield key, (1, talk_ms, int(waited is not None), waited or 0, int(talk_ms > 0))


def people_counts(row: Row) -> Iterator[tuple[Key, tuple[int, ...]]]:
    """``(enterprise, hour, extension, direction) -> (calls, answered, missed, talk_ms, waits, wait_ms)``, from the call's row.

    Who has talked has answered; where no talks were heard, it is whose call it was. Nobody has missed what a colleague took.
    The waiting is that of the one who answered first.
    """
    if not _counts(row):
        return
    talked, waited = dict(zip(row["talked"], row["talked_ms"], strict=True)), row["wait_ms"]
    answered = row["outcome"] == Outcome.ANSWERED
    by = set(talked) or ({row["extension"]} if answered else set())
    first = next(iter(talked), None)
    for extension in dict.fromkeys([*row["extensions"], *(name for name in by if name)]):
        mine = waited if extension == first else None
        key = (row["enterprise"], _hour_ms(row), extension, row["direction"])
        yield key, (
            1,
            int(extension in by),
            int(not answered),
            talked.get(extension, 0),
            int(mine is not None),
            mine or 0,
        )


def _counts(row: Row) -> bool:
    """Whether it is a customer's call that is over. What turned out to be another's leg, or internal, is none."""
    return row["outcome"] not in (None, Outcome.INTERNAL)


def _hour_ms(row: Row) -> int:
    return int(row["started_ms"]) // HOUR_MS * HOUR_MS


# -- requests and names ---------------------------------------------------------------------------------------------


class _Asked:
    """Requests by enterprise, hour and API, and the names that MoySklad told, each with the position of who told it last."""

    def __init__(self) -> None:
        self.sums: Sums = {}
        self.names: dict[tuple[str, str], tuple[str, int]] = {}

    def add(self, enterprise: str, event: Event, position: int) -> None:
        """Count one answer."""
        assert isinstance(event, EffectDone | EffectFailed | EffectRefused)
        for exchange in event.exchanges:
            key = (enterprise, event.at_ms // HOUR_MS * HOUR_MS, api_of(exchange))
            counted = self.sums.setdefault(key, [0] * (4 + len(BOUNDS_MS)))
            counted[0] += 1
            counted[1] += exchange.status is None or exchange.status >= 400
            counted[2] += max(0, exchange.duration_ms)
            counted[3 + bisect_left(BOUNDS_MS, exchange.duration_ms)] += 1
        if isinstance(event, EffectDone):
            for extension, name in _named(event):
                self.names[enterprise, extension] = (name, position)

    def requests(self) -> list[list[Any]]:
        """The arguments of ``statistics_requests.sql``."""
        found = sorted(self.sums.items())
        took = [f"{{{','.join(map(str, each[3:]))}}}" for _, each in found]
        return [*columns([(*key, *each[:3]) for key, each in found]), took]


async def _count_requests(db: ProjectionDb, events: Sequence[RecordedEvent]) -> None:
    asked = _Asked()
    for each in events:
        if each.type in _ANSWERED and each.stream.name.startswith(PREFIX) and not is_test(each.stream.name.removeprefix(PREFIX)):
            asked.add(each.stream.enterprise, decode(each.type, each.schema, each.data), each.position)
    if asked.sums:
        await db.execute(_REQUESTS, *asked.requests())
    if asked.names:
        await db.execute(_NAMES, *columns([(*key, name) for key, (name, _) in sorted(asked.names.items())]))


def api_of(exchange: Exchange) -> str:
    """``json`` or ``phone``: which of MoySklad's two APIs was asked."""
    return "json" if "/remap/" in exchange.path or "/entity/" in exchange.path else "phone"


def _named(event: EffectDone) -> Iterator[tuple[str, str]]:
    """Extension and name of each employee that MoySklad told of."""
    employees = event.result.get("employees")
    for extension, employee in employees.items() if isinstance(employees, dict) else ():
        name = employee.get("name") if isinstance(employee, dict) else None
        if isinstance(name, str) and name:
            yield str(extension), name.replace("\0", "")[:NAME_CHARS]


def quantile_ms(took: Sequence[int], share: float) -> int | None:
    """The response time that ``share`` of the requests kept within, from counts by :data:`BOUNDS_MS`; None without requests."""
    total = sum(took)
    if not total:
        return None
    wanted, below = share * total, 0
    for index, count in enumerate(took):
        if below + count >= wanted:
            low = BOUNDS_MS[index - 1] if index else 0
            high = BOUNDS_MS[index] if index < len(BOUNDS_MS) else BOUNDS_MS[-1] * 2
            return round(low + (high - low) * (wanted - below) / count) if count else low
        below += count
    return BOUNDS_MS[-1] * 2
