"""Questions are put with patience, and not with more."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from adapters import looking as module
from adapters.looking import TooMuch, looking


async def test_a_question_is_answered_and_cannot_change_anything(pg_pool: Any) -> None:
    async with looking(pg_pool) as connection:
        assert await connection.fetchval("SHOW plan_cache_mode") == "force_custom_plan"
        assert await connection.fetchval("SELECT 1") == 1
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("DELETE FROM calls")
    assert await pg_pool.fetchval("SHOW plan_cache_mode") == "auto"


async def test_a_question_that_takes_too_long_is_given_up(pg_pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", "0.05")
    with pytest.raises(TooMuch):
        async with looking(pg_pool) as connection:
            await connection.execute("SELECT pg_sleep(5)")
    assert await pg_pool.fetchval("SELECT 1") == 1
