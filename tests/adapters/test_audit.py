"""The journal of actions: written, read page by page, bounded, and no reason for anything else to fail."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from adapters import audit
from adapters.audit import Audit, prune


async def noted(journal: Audit, count: int, **facts: Any) -> None:
    for number in range(count):
        await journal.note("settings_saved", actor="оператор", address="192.0.2.7", object_=str(number), **facts)


async def test_pages_go_back_in_time_and_can_be_narrowed(pg_pool: asyncpg.Pool) -> None:
    journal = Audit(pg_pool)
    await noted(journal, 3, enterprise="0367", details={"revision": 2})
    await journal.note("login_failed", actor="неизвестный", address="198.51.100.1")
    newest = await journal.page(limit=2)
    assert [each.action for each in newest] == ["login_failed", "settings_saved"]
    assert newest[1].details == {"revision": 2}
    older = await journal.page(before=newest[-1].id)
    assert [each.object for each in older] == ["1", "0"]
    assert len(await journal.page(enterprise="0367")) == 3
    assert await journal.page(enterprise="0368") == []
    assert [each.actor for each in await journal.page(actions=["login_failed", "logged_in"])] == ["неизвестный"]


async def test_it_is_kept_for_a_while_and_not_without_end(pg_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Audit(pg_pool)
    await noted(journal, 4)
    await pg_pool.execute("UPDATE audit SET at = now() - interval '366 days' WHERE object = '0'")
    await prune(pg_pool)
    assert [each.object for each in await journal.page()] == ["3", "2", "1"]
    monkeypatch.setattr(audit, "KEPT_ROWS", 2)
    await prune(pg_pool)
    assert [each.object for each in await journal.page()] == ["3", "2"]


async def test_a_lost_database_loses_the_line_to_the_log_alone(pg_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []
    monkeypatch.setattr(audit.log, "error", lambda event, **facts: said.append((event, facts["action"])))
    pg_pool.terminate()
    await noted(Audit(pg_pool), 1)
    assert said == [("audit_not_written", "settings_saved")]
