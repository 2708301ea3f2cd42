"""Numbers over time: periods in a person's own zone, and what is added up in them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapters.reports import MAX_DAYS, MAX_DAYS_BY_HOUR, MAX_DAYS_OF_ALL, names, report, span, zone_named
from core.settings import parse_settings

MINSK = ZoneInfo("Europe/Minsk")
BERLIN = ZoneInfo("Europe/Berlin")
NOW_MS = int(datetime(2026, 11, 24, 12, tzinfo=MINSK).timestamp() * 1000)
DAY_MS = 86_400_000


def half(took: Sequence[int], share: float) -> int | None:
    """A quantile that can be recognised."""
    return sum(took) * 1000 + round(share * 100)


def day(number: int, hour: int = 0, zone: Any = MINSK) -> int:
    return int(datetime(2026, 11, number, hour, tzinfo=zone).timestamp() * 1000)


def test_days_are_those_of_the_zone_and_both_ends_belong() -> None:
    over = span("2026-11-23", "2026-11-24", "day", MINSK, everybody=False, now_ms=NOW_MS)
    assert over.bounds == (day(23), day(24), day(25))


def test_without_days_it_is_the_last_thirty() -> None:
    over = span("", "", "day", MINSK, everybody=True, now_ms=NOW_MS)
    assert (len(over.bounds) - 1, over.bounds[-1]) == (30, day(25))


def test_a_day_on_which_the_clocks_change_is_as_long_as_it_is() -> None:
    over = span("2026-10-25", "2026-10-25", "day", BERLIN, everybody=False, now_ms=NOW_MS)
    assert over.bounds[1] - over.bounds[0] == 25 * 3_600_000
    assert len(span("2026-10-25", "2026-10-25", "hour", BERLIN, everybody=False, now_ms=NOW_MS).bounds) == 26


@pytest.mark.parametrize(
    ("first", "last", "by", "everybody", "field"),
    [
        ("2026-11-25", "2026-11-24", "day", False, "from"),
        ("2020-01-01", "2026-11-24", "day", False, "from"),
        ("2026-08-01", "2026-11-24", "day", True, "from"),
        ("2026-11-01", "2026-11-24", "hour", False, "from"),
        ("24.11.2026", "", "day", False, "from"),
        ("", "9999-12-31", "day", False, "to"),
        ("", "", "year", False, "by"),
    ],
)
def test_what_cannot_be_told_is_named(first: str, last: str, by: str, everybody: bool, field: str) -> None:
    with pytest.raises(ValueError, match=field) as caught:
        span(first, last, by, MINSK, everybody=everybody, now_ms=NOW_MS)
    assert caught.value.args[0] == field
    assert MAX_DAYS > MAX_DAYS_OF_ALL > MAX_DAYS_BY_HOUR


@pytest.fixture
async def counted(pg_pool: Any) -> Any:
    """Two days of one enterprise and an hour of another."""
    calls = [
        ("0367", day(23, 10), "in", "answered", 3, 60_000, 1, 9_000, 2),
        ("0367", day(23, 23), "in", "missed", 1, 0, 0, 0, 0),
        ("0367", day(23, 11), "out", "unanswered", 2, 0, 0, 0, 0),
        ("0367", day(24, 0), "out", "answered", 4, 10_000, 4, 4_000, 4),
        ("0999", day(24, 9), "in", "lost", 5, 0, 0, 0, 0),
    ]
    await pg_pool.executemany("INSERT INTO statistics_calls VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)", calls)
    people = [("0367", day(23, 10), "101", "in", 4, 3, 1, 60_000, 3, 9_000), ("0999", day(23, 10), "101", "in", 1, 1, 0, 1, 1, 1)]
    await pg_pool.executemany("INSERT INTO statistics_people VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)", people)
    took = [1, *[0] * 18, 1]
    requests = [("0367", day(23, hour), "phone", 2, 1, 20_010, took) for hour in (10, 11)]
    await pg_pool.executemany("INSERT INTO statistics_requests VALUES ($1, $2, $3, $4, $5, $6, $7)", requests)
    return pg_pool


async def test_a_report_adds_up_by_day(counted: Any) -> None:
    over = span("2026-11-23", "2026-11-24", "day", MINSK, everybody=False, now_ms=NOW_MS)
    told = await report(counted, "0367", over, half)
    first, second = told["periods"]
    assert first == {
        "in": 4, "in_answered": 3, "out": 2, "out_answered": 0, "lost": 0, "talk_ms": 60_000, "talks": 2,
        "waits": 1, "wait_ms": 9_000,
    }  # fmt: skip
    assert (second["in"], second["out"], second["out_answered"], second["talk_ms"], second["talks"]) == (0, 4, 4, 10_000, 4)
    assert second["waits"] == 0, "how long a customer let it ring is no waiting of ours"
    assert told["requests"] == [
        {"period": 0, "api": "phone", "requests": 4, "failures": 2, "mean_ms": 10_005, "p50_ms": 4_050, "p95_ms": 4_095}
    ]
    (person,) = told["people"]
    assert (person["period"], person["extension"], person["calls"], person["answered"], person["missed"]) == (0, "101", 4, 3, 1)


async def test_all_together_has_everybody_s_calls_and_nobody_s_name(counted: Any) -> None:
    over = span("2026-11-24", "2026-11-24", "hour", MINSK, everybody=True, now_ms=NOW_MS)
    told = await report(counted, None, over, half)
    assert (told["periods"][9]["in"], told["periods"][9]["lost"], told["periods"][0]["out"]) == (5, 5, 4)
    assert told["people"] == []


async def test_names_are_the_settings_and_below_them_what_moysklad_said(pg_pool: Any) -> None:
    known = [("0367", "101", "Анна"), ("0367", "102", "Борис"), ("0999", "103", "Вера")]
    await pg_pool.executemany("INSERT INTO statistics_names VALUES ($1, $2, $3)", known)
    settings = parse_settings({"employee_mapping": {"102": {"name": "Борис Литвинов", "employee_id": "x"}}})
    assert await names(pg_pool, "0367", settings) == {"101": "Анна", "102": "Борис Литвинов"}
    assert await names(pg_pool, "0367", None) == {"101": "Анна", "102": "Борис"}


@pytest.mark.parametrize("name", ["Europe/Nowhere", "../etc/passwd", "Europe", "/etc/localtime", "x" * 300])
def test_a_zone_that_there_is_not_is_named(name: str) -> None:
    with pytest.raises(ValueError, match="zone"):
        zone_named(name, MINSK)
    assert (zone_named("", MINSK), zone_named("Europe/Berlin", MINSK)) == (MINSK, BERLIN)


def test_the_last_day_may_be_today_in_a_zone_that_is_ahead() -> None:
    early = int(datetime(2026, 11, 24, 22, tzinfo=UTC).timestamp() * 1000)
    assert span("", "", "day", MINSK, everybody=False, now_ms=early).bounds[-1] == day(26)
