"""Numbers over time for people (PRODUCT F9): from the hours that ``projections/statistics.py`` keeps, by day or hour of a zone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapters.looking import looking
from adapters.postgres.database import load_sql
from core.settings import Settings
from core.values import Direction, Outcome

MAX_DAYS: Final = 400
MAX_DAYS_OF_ALL: Final = 92
"""All enterprises together have some hundred times the rows of one."""

MAX_DAYS_BY_HOUR: Final = 14
MAX_NAMES: Final = 2_000

_CALLS, _PEOPLE, _REQUESTS, _NAMES = (load_sql(name) for name in ("report_calls", "report_people", "report_requests", "names"))

Quantile = Callable[[Sequence[int], float], int | None]
"""``projections.statistics.quantile_ms``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From which moment to which, and where one period ends and the next begins: ``bounds`` has one more than there are periods."""

    bounds: tuple[int, ...]
    by: str


def span(first: str, last: str, by: str, zone: tzinfo, *, everybody: bool, now_ms: int) -> Span:
    """Days ``first`` to ``last`` (``YYYY-MM-DD``, both included; empty: the last thirty). Raises ValueError(field, hint)."""
    today = datetime.fromtimestamp(now_ms / 1000, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    end = _day(last, "to", zone) if last else today
    begin = _day(first, "from", zone) if first else end - timedelta(days=29)
    if by not in ("day", "hour"):
        raise ValueError("by", "day or hour")
    longest = MAX_DAYS_BY_HOUR if by == "hour" else MAX_DAYS_OF_ALL if everybody else MAX_DAYS
    days = (end.date() - begin.date()).days + 1
    if not 1 <= days <= longest:
        raise ValueError("from", f"1 to {longest} days")
    midnights = [_ms(begin + timedelta(days=each)) for each in range(days + 1)]
    if by == "day":
        return Span(bounds=tuple(midnights), by=by)
    return Span(bounds=tuple(range(midnights[0], midnights[-1] + 1, 3_600_000)), by=by)


def zone_named(name: str, default: tzinfo) -> tzinfo:
    """The zone of this name, in which the reader's days begin. Raises ValueError(field, hint)."""
    if not name:
        return default
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("zone", "a name such as Europe/Minsk") from None


def _day(text: str, field: str, zone: tzinfo) -> datetime:
    try:
        found = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=zone)
    except ValueError:
        raise ValueError(field, "a day, YYYY-MM-DD") from None
    if not 1971 <= found.year <= 9000:
        raise ValueError(field, "a day, YYYY-MM-DD")
    return found


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


async def report(pool: Any, enterprise: str | None, over: Span, quantile: Quantile) -> dict[str, Any]:
    """The numbers of one enterprise, or of all (then without employees). Raises :class:`adapters.looking.TooMuch`."""
    args = (enterprise, over.bounds[0], over.bounds[-1], list(over.bounds))
    async with looking(pool) as connection:
        calls = await connection.fetch(_CALLS, *args)
        requests = await connection.fetch(_REQUESTS, *args)
        people = await connection.fetch(_PEOPLE, *args) if enterprise is not None else ()
    return {
        "by": over.by,
        "bounds_ms": list(over.bounds),
        "periods": list(_periods(len(over.bounds) - 1, calls)),
        "requests": [_request(row, quantile) for row in requests],
        "people": [_person(row) for row in people],
    }


def _periods(count: int, rows: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """For each period how many came in and went out, how many were answered, talks that were heard, and waits."""
    periods = [
        {"in": 0, "in_answered": 0, "out": 0, "out_answered": 0, "lost": 0, "talk_ms": 0, "talks": 0, "waits": 0, "wait_ms": 0}
        for _ in range(count)
    ]
    for row in rows:
        period = periods[row["period"] - 1]
        way = "out" if row["direction"] == Direction.OUTGOING else "in"
        period[way] += row["calls"]
        period[f"{way}_answered"] += row["calls"] if row["outcome"] == Outcome.ANSWERED else 0
        period["lost"] += row["calls"] if row["outcome"] == Outcome.LOST else 0
        period["talk_ms"] += row["talk_ms"]
        period["talks"] += row["talks"]
        if way == "in":
            period["waits"] += row["waits"]
            period["wait_ms"] += row["wait_ms"]
    yield from periods


def _request(row: Any, quantile: Quantile) -> dict[str, Any]:
    return {
        "period": row["period"] - 1,
        "api": row["api"],
        "requests": row["requests"],
        "failures": row["failures"],
        "mean_ms": round(row["took_ms"] / row["requests"]),
        "p50_ms": quantile(row["took"], 0.5),
        "p95_ms": quantile(row["took"], 0.95),
    }


def _person(row: Any) -> dict[str, Any]:
    return {**dict(row), "period": row["period"] - 1}


async def names(pool: Any, enterprise: str, settings: Settings | None) -> dict[str, str]:
    """Extension -> who has it: as MoySklad last said, and above that as the settings say."""
    rows = await pool.fetch(_NAMES, enterprise, MAX_NAMES)
    employees = settings.employees if settings is not None else ()
    mapped = {extension: employee.name for extension, employee in employees if employee.name}
    return {**{row["extension"]: row["name"] for row in rows}, **mapped}
