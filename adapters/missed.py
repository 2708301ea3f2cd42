"""Missed and not called back yet (PRODUCT F9): customers who could not get through, and with whom nobody has talked since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from adapters.looking import looking
from adapters.postgres.database import load_sql
from core.phone import looks_like_extension, same_number
from core.self_test import PREFIX

DAY_MS: Final = 86_400_000
MAX_DAYS: Final = 90
MAX_CALLS: Final = 5_000
"""Missed calls that are looked at, the latest: whoever has more has another problem."""

LONGEST_MS: Final = 4 * 3_600_000
"""A talk that began so long before a missed call may still be the one that called it back."""

TAIL: Final = 9

_MISSED, _TALKED = load_sql("calls_missed"), load_sql("calls_talked")


@dataclass(slots=True, kw_only=True)
class Missed:
    """A customer who waits. ``call``: the last attempt; ``rang``: whose phones rang, or whom the PBX named at the end where no
    ringing was heard; times ``*_ms`` UTC."""

    number: str
    client: str
    attempts: int
    first_ms: int
    last_ms: int
    call: str
    outcome: str
    rang: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedList:
    """Who waits, the last to have called first. ``hidden``, ``internal``: missed calls left out, because there is no number to
    call, or because it is a colleague's. ``complete``: no older ones were left out for their number."""

    missed: tuple[Missed, ...]
    hidden: int
    internal: int
    since_ms: int
    complete: bool


async def missed_calls(pool: Any, enterprise: str, *, days: int, now_ms: int) -> MissedList:
    """The list of one enterprise. Raises :class:`adapters.looking.TooMuch`."""
    since_ms = now_ms - min(days, MAX_DAYS) * DAY_MS
    async with looking(pool) as connection:
        rows = await connection.fetch(_MISSED, enterprise, since_ms, MAX_CALLS, PREFIX)
        tails: dict[str, int] = {}
        for row in rows:
            if row["digits"]:
                tails[_tail(row)] = row["started_ms"]  # the latest come first: what stays is the earliest
        talked = await connection.fetch(_TALKED, enterprise, list(tails), list(tails.values()), LONGEST_MS)
    until: dict[str, list[tuple[str, int | None]]] = {}
    for each in talked:
        until.setdefault(each["number"][-TAIL:], []).append((each["number"], each["until_ms"]))
    waiting: dict[str, Missed] = {}
    hidden = internal = 0
    for row in rows:
        if not row["digits"]:
            hidden += 1
        elif looks_like_extension(row["digits"]):
            internal += 1
        elif not _has_talked(row, until.get(row["number"][-TAIL:], [])):
            _wait(waiting, row)
    return MissedList(
        missed=tuple(waiting.values()),
        hidden=hidden,
        internal=internal,
        since_ms=since_ms,
        complete=len(rows) < MAX_CALLS,
    )


def _tail(row: Any) -> str:
    return str(row["digits"][::-1][:TAIL])


def _has_talked(row: Any, talks: list[tuple[str, int | None]]) -> bool:
    """Whether somebody talked with this customer after the call began, or does now (until: None)."""
    return any(
        (until_ms is None or until_ms >= row["started_ms"]) and same_number(number, row["number"]) for number, until_ms in talks
    )


def _wait(waiting: dict[str, Missed], row: Any) -> None:
    rang = row["extensions"] or [each for each in (row["extension"],) if each]
    known = waiting.get(row["number"])
    if known is None:
        waiting[row["number"]] = Missed(
            number=row["number"],
            client=row["client"],
            attempts=1,
            first_ms=row["started_ms"],
            last_ms=row["started_ms"],
            call=row["call"],
            outcome=row["outcome"],
            rang=list(rang),
        )
        return
    known.attempts += 1
    known.first_ms = row["started_ms"]
    known.client = known.client or row["client"]
    known.rang.extend(extension for extension in rang if extension not in known.rang)
