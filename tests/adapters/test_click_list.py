"""The list of clicks: newest first, page after page; what is known of the signature; and a database that is away."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from adapters.click_list import recent_clicks, signature_seen
from core.errors import StoreUnavailable

ADD = (
    "INSERT INTO clicks (enterprise, click, at_ms, stage, extension, number, uid, signature, way, error, remedy, ambiguous, call,"
    " repeats) VALUES ($1, $2, $3, $4, '101', '+375290000001', '', $5, 'http', '', '', false, '', 0)"
)


async def add(pool: Any, click: str, at_ms: int, stage: str = "joined", signature: str = "absent", of: str = "0367") -> None:
    await pool.execute(ADD, of, click, at_ms, stage, signature)


async def test_newest_first_page_after_page(pg_pool: asyncpg.Pool) -> None:
    for number in range(5):
        await add(pg_pool, f"c{number}", number * 1_000)
    await add(pg_pool, "other", 9_000, of="0368")
    first = await recent_clicks(pg_pool, "0367", limit=3)
    assert [each["click"] for each in first["clicks"]] == ["c4", "c3", "c2"]
    second = await recent_clicks(pg_pool, "0367", before_ms=first["before"], limit=3)
    assert [each["click"] for each in second["clicks"]] == ["c1", "c0"]
    assert (second["before"], second["before_click"]) == (None, None)


async def test_clicks_of_one_moment_on_two_pages_are_all_told(pg_pool: asyncpg.Pool) -> None:
    for number in range(5):
        await add(pg_pool, f"c{number}", 1_000 if number in (1, 2) else number * 1_000)
    first = await recent_clicks(pg_pool, "0367", limit=3)
    second = await recent_clicks(pg_pool, "0367", before_ms=first["before"], before_click=first["before_click"], limit=3)
    assert [each["click"] for each in first["clicks"] + second["clicks"]] == ["c4", "c3", "c2", "c1", "c0"]


async def test_only_those_that_came_to_nothing(pg_pool: asyncpg.Pool) -> None:
    for number, stage in enumerate(("joined", "ordered", "refused", "failed", "doubted", "expired", "silent", "waiting")):
        await add(pg_pool, stage, number, stage)
    found = await recent_clicks(pg_pool, "0367", bad=True)
    assert {each["stage"] for each in found["clicks"]} == {"refused", "failed", "doubted", "expired", "silent"}


async def test_how_moysklad_signs(pg_pool: asyncpg.Pool) -> None:
    assert await signature_seen(pg_pool, "0367") == {"fitted": None, "fitted_ms": None, "last": None, "last_ms": None}
    await add(pg_pool, "a", 1_000, signature="key + raw body")
    await add(pg_pool, "b", 2_000, signature="wrong")
    assert await signature_seen(pg_pool, "0367") == {
        "fitted": "key + raw body", "fitted_ms": 1_000, "last": "wrong", "last_ms": 2_000,
    }  # fmt: skip


class Away:
    """A pool whose database is gone."""

    async def fetch(self, *_: Any) -> Any:
        raise ConnectionRefusedError

    fetchrow = fetch


async def test_a_database_that_is_away_is_an_outage() -> None:
    with pytest.raises(StoreUnavailable):
        await recent_clicks(Away(), "0367")
    with pytest.raises(StoreUnavailable):
        await signature_seen(Away(), "0367")
