"""Finding calls: by any part of what a person knows, page after page, the same call never twice."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapters.call_search import LIMIT, is_known, must_be_known, no_such_call, resolve, search
from adapters.postgres.database import load_sql

BELARUS, RUSSIA = "+375291234567", "+79291234567"
BEGAN_MS = 1_795_437_000_000


async def add(pool: Any, call: str, **fields: Any) -> None:
    """One row of the index; what is not said is like an ordinary missed call."""
    row: dict[str, Any] = {
        "enterprise": "0367", "call": call, "version": 1, "phase": "settled", "direction": "in", "outcome": "missed",
        "number": BELARUS, "extensions": [], "extension": "", "started_ms": BEGAN_MS, "talk_ms": 0, "open_cards": 0,
        "failures": 0, "parked": "", **fields,
    }  # fmt: skip
    row.setdefault("digits", row["number"].lstrip("+") if row["number"] != "anonymous" else "")
    names = ", ".join(row)
    marks = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await pool.execute(f"INSERT INTO calls ({names}) VALUES ({marks})", *row.values())


async def found(pool: Any, query: Mapping[str, str]) -> list[str]:
    return [call["call"] for call in (await search(pool, query, UTC)).calls]


@pytest.fixture
async def two_countries(pg_pool: Any) -> Any:
    """Two calls from numbers that share their last nine digits, a minute apart."""
    await add(pg_pool, "by", number=BELARUS)
    await add(pg_pool, "ru", number=RUSSIA, started_ms=BEGAN_MS + 60_000)
    return pg_pool


@pytest.mark.parametrize(("typed", "call"), [("8 (029) 123-45-67", "by"), (BELARUS, "by"), ("8 929 123-45-67", "ru")])
async def test_search_tells_two_countries_apart(two_countries: Any, typed: str, call: str) -> None:
    assert await found(two_countries, {"phone": typed}) == [call]


@pytest.mark.parametrize(
    ("typed", "calls"), [("567", ["ru", "by"]), ("45-67", ["ru", "by"]), ("1234567", ["ru", "by"]), ("568", [])]
)
async def test_the_last_digits_are_enough(two_countries: Any, typed: str, calls: list[str]) -> None:
    assert await found(two_countries, {"phone": typed}) == calls


async def test_a_call_named_by_number_and_time_is_that_numbers(two_countries: Any) -> None:
    assert await resolve(two_countries, "0367", f"{RUSSIA}@{BEGAN_MS}", UTC) == "ru"
    assert await resolve(two_countries, "0367", f"{BELARUS}@{BEGAN_MS + 60_000}", UTC) == "by"
    assert await resolve(two_countries, "0367", f"+375299999999@{BEGAN_MS}", UTC) is None
    await add(two_countries, "leg", number=BELARUS, phase="absorbed", started_ms=BEGAN_MS + 30_000)
    assert await resolve(two_countries, "0367", f"{BELARUS}@{BEGAN_MS + 30_000}", UTC) == "by", "not a leg of the call"


@pytest.mark.parametrize(
    ("config", "hour"),
    [
        ({"ms": {"timezone": "Asia/Yekaterinburg"}}, 17), ({"ms": {"timezone": ""}}, 12), ({}, 12), ([], 12),
        ({"ms": {"timezone": "Mars/Olympus"}}, 12), ('{"ms": {"timezone": "Asia/Yekaterinburg"}}', 17),
    ],
)  # fmt: skip
async def test_the_time_that_names_a_call_is_its_pbx_s(two_countries: Any, config: Any, hour: int) -> None:
    await two_countries.execute(
        "INSERT INTO public.enterprises (number, name, integrations_config) VALUES ('0367', '', $1)", config
    )
    for typed, call in ((f"2026-11-23 {hour}:30", "by"), (f"2026-11-23 {29 - hour}:30", None)):
        assert await resolve(two_countries, "0367", f"{BELARUS}@{typed}", UTC) == call, typed


@pytest.mark.parametrize(
    "row",
    [
        "INSERT INTO public.enterprises (number, name) VALUES ('0001', '')",
        "INSERT INTO settings_revisions (enterprise, revision, settings, by) VALUES ('0001', 1, '{}', '')",
        "INSERT INTO streams (enterprise, stream, version) VALUES ('0001', 'call/A', 1)",
    ],
)
async def test_an_enterprise_is_known_by_its_row_its_settings_or_its_calls(pg_pool: Any, row: str) -> None:
    for odd in ("0001", "", "\0"):
        assert not await is_known(pg_pool, odd)
    with pytest.raises(ValueError, match="nobody knows enterprise 0001"):
        await must_be_known(pg_pool, "0001")
    await pg_pool.execute(row)
    assert await is_known(pg_pool, "0001")
    assert "enterprise 0001 has no call A" in await no_such_call(pg_pool, "0001", "A")


@pytest.mark.parametrize(
    ("query", "calls"),
    [
        ({}, ["live", "out", "failed", "parked", "missed", "elsewhere"]),
        ({"enterprise": "0367"}, ["live", "out", "failed", "parked", "missed"]),
        ({"enterprise": "0999"}, ["elsewhere"]),
        ({"extension": "102"}, ["out"]),
        ({"extension": "102", "enterprise": "0367"}, ["out"]),
        ({"extension": "102", "enterprise": "0999"}, []),
        ({"direction": "internal"}, []),
        ({"outcome": "answered"}, ["out", "failed"]),
        ({"outcome": "answered,lost"}, ["out", "failed", "parked"]),
        ({"direction": "out"}, ["out"]),
        ({"failed": "1"}, ["failed", "parked"]),
        ({"failed": "0"}, ["live", "out", "failed", "parked", "missed", "elsewhere"]),
        ({"parked": "1"}, ["parked"]),
        ({"live": "1"}, ["live"]),
        ({"from": str(BEGAN_MS + 2_000), "to": str(BEGAN_MS + 3_000)}, ["failed", "parked"]),
        ({"phone": BELARUS, "extension": "102"}, ["out"]),
    ],
)
async def test_each_thing_that_is_known_narrows_the_search(pg_pool: Any, query: dict[str, str], calls: list[str]) -> None:
    await add(pg_pool, "elsewhere", enterprise="0999")
    await add(pg_pool, "missed", started_ms=BEGAN_MS + 1_000, extensions=["101"])
    await add(pg_pool, "parked", started_ms=BEGAN_MS + 2_000, outcome="lost", parked="no such key")
    await add(pg_pool, "failed", started_ms=BEGAN_MS + 3_000, outcome="answered", failures=2)
    await add(pg_pool, "out", started_ms=BEGAN_MS + 4_000, direction="out", outcome="answered", extensions=["101", "102"])
    await add(pg_pool, "live", started_ms=BEGAN_MS + 5_000, phase="ringing", outcome=None)
    assert await found(pg_pool, query) == calls


@pytest.mark.parametrize(
    ("zone", "query", "calls"),
    [
        ("Europe/Minsk", {"from": "2026-11-05", "to": "2026-11-05"}, ["last", "first"]),
        ("Europe/Minsk", {"to": "20261105"}, ["last", "first", "before"]),
        ("Europe/Minsk", {"to": "2026-11-05 00:00"}, ["first", "before"]),
        ("UTC", {"from": "2026-11-05", "to": "2026-11-05"}, ["after", "last"]),
        ("Europe/Minsk", {"from": "2026-11-05", "to": "9999-12-31"}, ["after", "last", "first"]),
    ],
)
async def test_a_day_that_a_period_ends_with_is_in_it(pg_pool: Any, zone: str, query: dict[str, str], calls: list[str]) -> None:
    begins_ms = int(datetime(2026, 11, 5, tzinfo=ZoneInfo("Europe/Minsk")).timestamp() * 1000)
    for call, at_ms in (("before", -1), ("first", 0), ("last", 86_399_999), ("after", 86_400_000)):
        await add(pg_pool, call, started_ms=begins_ms + at_ms)
    assert [call["call"] for call in (await search(pg_pool, query, ZoneInfo(zone))).calls] == calls


async def test_a_day_of_the_clocks_change_is_whole(pg_pool: Any) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    await add(pg_pool, "late", started_ms=int(datetime(2026, 10, 25, 23, 59, tzinfo=berlin).timestamp() * 1000))
    assert [call["call"] for call in (await search(pg_pool, {"from": "2026-10-25", "to": "2026-10-25"}, berlin)).calls] == ["late"]


async def test_pages_follow_each_other_without_a_gap_or_a_repeat_also_when_calls_come_meanwhile(pg_pool: Any) -> None:
    for number in range(25):
        await add(pg_pool, f"c{number:02}", started_ms=BEGAN_MS + number // 3, enterprise=f"036{number % 2}")
    wanted = await found(pg_pool, {"limit": "100"})
    seen: list[str] = []
    query = {"limit": "4"}
    while True:
        page = await search(pg_pool, query, UTC)
        seen += [call["call"] for call in page.calls]
        await add(pg_pool, f"new{len(seen)}", started_ms=BEGAN_MS + 1_000)
        if page.after is None:
            break
        query["after"] = page.after
    assert seen == wanted
    assert len(seen) == 25


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"limit": str(LIMIT + 1)}, "limit"),
        ({"limit": "٣"}, "limit"),
        ({"phone": "12"}, "phone"),
        ({"phone": "anna"}, "phone"),
        ({"outcome": "answered,late"}, "outcome"),
        ({"direction": "up"}, "direction"),
        ({"from": "yesterday"}, "from"),
        ({"to": "99999999999999999999"}, "to"),
        ({"enterprise": "0\x00"}, "enterprise"),
        ({"after": "?"}, "after"),
        ({"after": "W10"}, "after"),
        ({"after": "WzEsIlx1MDAwMCIsImEiXQ"}, "after"),
    ],
)
async def test_what_cannot_be_understood_is_named(pg_pool: Any, query: dict[str, str], field: str) -> None:
    with pytest.raises(ValueError, match=field) as caught:
        await search(pg_pool, query, UTC)
    assert caught.value.args[0] == field


async def test_a_search_that_is_too_wide_says_what_to_narrow(pg_pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.looking.PATIENCE_S", "0.05")
    slow = f"WITH late AS MATERIALIZED (SELECT pg_sleep(5)) {load_sql('call_search').replace('FROM calls', 'FROM late, calls')}"
    monkeypatch.setattr("adapters.call_search._SEARCH", slow)
    await add(pg_pool, "one")
    with pytest.raises(ValueError, match="less at once"):
        await search(pg_pool, {}, UTC)


def test_the_search_s_statement_has_no_offset() -> None:
    sql = (Path(__file__).parents[2] / "adapters/postgres/sql/call_search.sql").read_text()
    assert "OFFSET" not in sql.upper()
