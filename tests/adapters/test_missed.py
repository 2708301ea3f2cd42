"""Missed and not called back: who waits, and what ends the waiting."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.missed import DAY_MS, MAX_DAYS, MissedList, missed_calls
from tests.adapters.test_call_search import BEGAN_MS, BELARUS, RUSSIA, add

HOUR_MS = 3_600_000
NOW_MS = BEGAN_MS + 12 * HOUR_MS


async def missed(pool: Any, days: int = 14) -> MissedList:
    return await missed_calls(pool, "0367", days=days, now_ms=NOW_MS)


async def numbers(pool: Any) -> list[str]:
    return [each.number for each in (await missed(pool)).missed]


async def test_attempts_of_one_customer_are_one_line(pg_pool: Any) -> None:
    await add(pg_pool, "1", extensions=["101"], client="ООО «Радуга»")
    await add(pg_pool, "2", started_ms=BEGAN_MS + HOUR_MS, extensions=["102", "101"])
    await add(pg_pool, "3", started_ms=BEGAN_MS + 2 * HOUR_MS, extensions=[], outcome="abandoned")
    await add(pg_pool, "other", number="+375447654321", started_ms=BEGAN_MS + 3 * HOUR_MS)
    found = await missed(pg_pool)
    assert [each.number for each in found.missed] == ["+375447654321", BELARUS]
    line = found.missed[1]
    assert (line.attempts, line.first_ms, line.last_ms) == (3, BEGAN_MS, BEGAN_MS + 2 * HOUR_MS)
    assert (line.rang, line.client, line.call, line.outcome) == (["102", "101"], "ООО «Радуга»", "3", "abandoned")


async def test_where_no_ringing_was_heard_it_is_whom_the_pbx_named(pg_pool: Any) -> None:
    await add(pg_pool, "downloaded", extensions=[], extension="103")
    await add(pg_pool, "heard", started_ms=BEGAN_MS + HOUR_MS, extensions=["101"], extension="103")
    (line,) = (await missed(pg_pool)).missed
    assert line.rang == ["101", "103"]


@pytest.mark.parametrize("direction", ["in", "out"])
async def test_whoever_talked_with_somebody_later_does_not_wait(pg_pool: Any, direction: str) -> None:
    await add(pg_pool, "missed")
    assert await numbers(pg_pool) == [BELARUS]
    later: dict[str, Any] = {"direction": direction, "started_ms": BEGAN_MS + HOUR_MS}
    await add(pg_pool, "tried", **later, outcome="unanswered" if direction == "out" else "missed")
    assert await numbers(pg_pool) == [BELARUS], "an attempt is no talk"
    later["started_ms"] = BEGAN_MS + 2 * HOUR_MS
    await add(pg_pool, "talked", **later, outcome="answered", ended_ms=BEGAN_MS + 3 * HOUR_MS)
    assert await numbers(pg_pool) == []
    await add(pg_pool, "again", started_ms=BEGAN_MS + 4 * HOUR_MS)
    (line,) = (await missed(pg_pool)).missed
    assert (line.attempts, line.first_ms) == (1, BEGAN_MS + 4 * HOUR_MS), "what was before the talk is settled"


async def test_a_talk_from_before_counts_only_if_it_went_on_after(pg_pool: Any) -> None:
    await add(pg_pool, "missed")
    await add(pg_pool, "before", started_ms=BEGAN_MS - HOUR_MS, outcome="answered", ended_ms=BEGAN_MS - 1_000)
    assert await numbers(pg_pool) == [BELARUS]
    await add(pg_pool, "during", started_ms=BEGAN_MS - HOUR_MS, outcome="answered", ended_ms=BEGAN_MS + 1_000)
    assert await numbers(pg_pool) == []


async def test_a_talk_that_goes_on_ends_the_waiting_and_a_phone_that_rings_does_not(pg_pool: Any) -> None:
    await add(pg_pool, "missed")
    now = {"outcome": None, "direction": "out", "started_ms": BEGAN_MS + HOUR_MS}
    await add(pg_pool, "ringing", **now, phase="ringing")
    assert await numbers(pg_pool) == [BELARUS]
    await add(pg_pool, "talking", **now, phase="talking", talking=["101"])
    assert await numbers(pg_pool) == []


async def test_another_country_s_number_with_the_same_end_is_somebody_else(pg_pool: Any) -> None:
    await add(pg_pool, "missed")
    await add(pg_pool, "talked", number=RUSSIA, started_ms=BEGAN_MS + HOUR_MS, outcome="answered")
    assert await numbers(pg_pool) == [BELARUS]


async def test_another_enterprise_s_talk_is_not_ours(pg_pool: Any) -> None:
    await add(pg_pool, "missed")
    await add(pg_pool, "talked", enterprise="0999", started_ms=BEGAN_MS + HOUR_MS, outcome="answered")
    assert await numbers(pg_pool) == [BELARUS]


async def test_whom_nobody_can_call_back_is_left_out_and_counted(pg_pool: Any) -> None:
    await add(pg_pool, "hidden", number="anonymous")
    await add(pg_pool, "colleague", number="103")
    await add(pg_pool, "answered", outcome="answered")
    await add(pg_pool, "lost", outcome="lost")
    await add(pg_pool, "out", direction="out", outcome="unanswered")
    found = await missed(pg_pool)
    assert (found.missed, found.hidden, found.internal, found.complete) == ((), 1, 1, True)


async def test_what_is_older_than_asked_for_is_not_told(pg_pool: Any) -> None:
    await add(pg_pool, "old", started_ms=NOW_MS - 2 * DAY_MS)
    assert [each.call for each in (await missed(pg_pool, days=1)).missed] == []
    assert [each.call for each in (await missed(pg_pool, days=3)).missed] == ["old"]
    assert (await missed(pg_pool, days=1_000)).since_ms == NOW_MS - MAX_DAYS * DAY_MS


async def test_a_list_that_is_cut_says_so(pg_pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.missed.MAX_CALLS", 2)
    for number in range(3):
        await add(pg_pool, str(number), started_ms=BEGAN_MS + number)
    found = await missed(pg_pool)
    assert (found.missed[0].attempts, found.complete) == (2, False)
