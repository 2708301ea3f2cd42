"""The dispatcher gives up after three seconds: whatever the database does, it gets an honest answer before that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest

from adapters.http.guard import Guard
from adapters.ingest import Ingest, Patience
from adapters.settings_store import SettingsStore
from adapters.vault import Vault
from core.ports import EventStore
from tests.adapters.http.support import dial, edge, parts
from tests.adapters.stores import Gated, Stuck
from tests.eventually import until
from tests.rig import KEY, MINSK, Rig

POST = "/internal/ms/incoming-call"
IMPATIENT = Patience(take_s=0.05, keep_s=0.05, answer_s=0.1)


@asynccontextmanager
async def slow(
    rig: Rig, *, pool: Any = None, store: EventStore | None = None, patience: Patience = IMPATIENT
) -> AsyncIterator[tuple[Any, Ingest]]:
    service = rig.service
    ingest = Ingest(
        store=store or service.store,
        settings=SettingsStore(pool, Vault([KEY]), public_url="https://x.invalid") if pool else service.settings,
        pool=pool or service.pool,
        zone=MINSK,
        now_ms=rig.clock,
        patience=patience,
    )
    async with edge(rig, Guard([ip_network("127.0.0.0/8")], "", ""), parts(rig, ingest)) as client:
        yield client, ingest


def test_the_times_add_up_to_less_than_the_dispatcher_s_patience() -> None:
    patience = Patience()
    assert patience.take_s <= 2.7
    assert patience.keep_s <= 1.0
    assert patience.take_s < patience.answer_s < 3.0


async def honest_503(client: Any, body: Any) -> None:
    async with client.post(POST, json=body) as answer:
        told = await answer.json()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert set(told) == {"error", "field", "hint"}
        assert "repeat is recognised" in told["hint"]


async def test_a_store_that_hangs_is_an_honest_503_and_the_repeat_is_recognised(rig: Rig) -> None:
    store = Gated()
    async with slow(rig, store=store) as (client, ingest):
        await honest_503(client, dial())
        store.gate.set()
        await until(lambda: ingest.heard)
    async with slow(rig, store=store, patience=Patience()) as (client, _), client.post(POST, json=dial()) as answer:
        assert (answer.status, (await answer.json())["duplicate"]) == (200, True)


async def test_settings_that_hang_are_an_honest_503(rig: Rig) -> None:
    pool = Stuck()
    async with slow(rig, pool=pool) as (client, _):
        await honest_503(client, dial())
        pool.let_go.set()


@pytest.mark.parametrize("raw", [b"not json", b"{}", b"[]"])
async def test_a_refusal_is_answered_while_it_cannot_be_kept(rig: Rig, raw: bytes) -> None:
    pool = Stuck()
    async with slow(rig, pool=pool) as (client, _):
        async with client.post(POST, data=raw) as answer:
            assert (answer.status, set(await answer.json())) == (400, {"error", "field", "hint"})
        assert (pool.asked, pool.finished) == (1, 0)
        pool.let_go.set()
