"""Finding calls by number: the last nine digits find, the whole number decides."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from adapters.call_search import resolve, search

BELARUS, RUSSIA = "+375291234567", "+79291234567"
BEGAN_MS = 1_795_437_000_000


@pytest.fixture
async def two_countries(pg_pool: Any) -> Any:
    """Two calls from numbers that share their last nine digits, a minute apart."""
    for call, number, began_ms in (("by", BELARUS, BEGAN_MS), ("ru", RUSSIA, BEGAN_MS + 60_000)):
        await pg_pool.execute(
            "INSERT INTO calls (enterprise, call, version, phase, direction, outcome, number, digits, extensions, extension,"
            " started_ms, talk_ms, open_cards, failures, parked)"
            " VALUES ('0367', $1, 1, 'settled', 'in', 'missed', $2, ltrim($2, '+'), '{}', '', $3, 0, 0, 0, '')",
            call,
            number,
            began_ms,
        )
    return pg_pool


@pytest.mark.parametrize(("typed", "found"), [("8 (029) 123-45-67", "by"), (BELARUS, "by"), ("8 929 123-45-67", "ru")])
async def test_search_tells_two_countries_apart(two_countries: Any, typed: str, found: str) -> None:
    assert [call["call"] for call in await search(two_countries, {"phone": typed}, UTC)] == [found]


async def test_a_call_named_by_number_and_time_is_that_numbers(two_countries: Any) -> None:
    assert await resolve(two_countries, "0367", f"{RUSSIA}@{BEGAN_MS}", UTC) == "ru"
    assert await resolve(two_countries, "0367", f"{BELARUS}@{BEGAN_MS + 60_000}", UTC) == "by"
    assert await resolve(two_countries, "0367", f"+375299999999@{BEGAN_MS}", UTC) is None
