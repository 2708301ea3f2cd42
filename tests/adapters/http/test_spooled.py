"""Single posts while the database is away: answered 200 because they are on disk, and calls like any others afterwards."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from adapters.http.app import build_app
from adapters.http.guard import Guard
from adapters.http.services import Holder
from adapters.ingest import Patience
from adapters.spool import Kept, Spool
from adapters.vault import Vault
from core.ports import StreamId
from core.signals import Wire
from tests.adapters.http.support import END, START, UNIQUE_ID, dial, hangup, rejected
from tests.adapters.postgres.support import relay_to
from tests.rig import ENTERPRISE, KEY, Rig, running

INCOMING, HANGUP = "/internal/ms/incoming-call", "/internal/ms/hangup-call"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", Vault([KEY]))


async def take_in(rig: Rig, spool: Spool) -> None:
    await spool.take_in(rig.service.ingest.take_kept)


async def test_a_call_during_an_outage_is_a_call_afterwards(database_url: str, spool: Spool) -> None:
    async with relay_to(database_url) as (relay, dsn), running(dsn, spool=spool) as rig:
        await rig.settle()
        relay.block()
        began = time.monotonic()
        assert await rig.post(INCOMING, dial()) == (200, {"status": "success", "enterprise_number": ENTERPRISE})
        assert time.monotonic() - began < 3, "the dispatcher waits no longer"
        assert spool.behind
        rig.clock.now_ms += 32_000
        began = time.monotonic()
        assert (await rig.post(HANGUP, hangup(start=START, end=END)))[0] == 200
        assert time.monotonic() - began < Patience().before_spool_s, "nobody waits that long for what is known to be away"
        assert (spool.waiting, rig.service.ingest.spooled, rig.service.ingest.in_spool) == (2, 2, 2)
        status, told = await rig.post(HANGUP, hangup("9.9", start=START, end="never"))
        assert (status, told["field"]) == (400, "EndTime"), told
        relay.unblock()
        await take_in(rig, spool)
        await take_in(rig, spool)
        assert (spool.waiting, spool.behind) == (0, False)
        history = await rig.service.store.read(StreamId(enterprise=ENTERPRISE, name=f"call/{UNIQUE_ID}"))
        heard = {each.type: int(each.data["heard_ms"]) for each in history}
        # In any order: what was on its way to the log when it was put into the spool may be recorded first.
        assert (len(history), set(heard)) == (2, {"dial_observed", "hangup_observed"})
        between_ms = heard["hangup_observed"] - heard["dial_observed"]
        assert 30_000 < between_ms < 34_000, "as heard when they came, not when the database was back"
        await rig.wait(120_000)
        (row,) = await rig.rows()
        assert row["end_ms"] is not None
        assert not any(card["type"] == "SHOW" for card in row["events"]), "who called is long gone"


async def test_what_was_recorded_after_all_is_taken_in_once(database_url: str, spool: Spool) -> None:
    async with running(database_url, spool=spool) as rig:
        await rig.post(INCOMING, dial())
        await spool.keep(Kept(wire=Wire.INCOMING_CALL, body=dial(), heard_ms=rig.clock.now_ms))
        await take_in(rig, spool)
        history = await rig.service.store.read(StreamId(enterprise=ENTERPRISE, name=f"call/{UNIQUE_ID}"))
        assert [each.type for each in history] == ["dial_observed"]


async def test_what_proves_wrong_afterwards_is_kept_as_rejected(database_url: str, spool: Spool) -> None:
    async with running(database_url, spool=spool) as rig:
        await spool.keep(Kept(wire=Wire.INCOMING_CALL, body=dial(enterprise_number="0999"), heard_ms=rig.clock.now_ms))
        await take_in(rig, spool)
        assert [row["error"] for row in await rejected(rig)] == ["the enterprise is unknown"]
        assert spool.waiting == 0


async def test_while_the_service_waits_for_its_database_posts_are_kept(spool: Spool) -> None:
    app = build_app(Holder(spool=spool, waiting="waiting for PostgreSQL"), Guard([], "inside", "admin"))
    near = {"Authorization": "Bearer inside"}
    async with TestClient(TestServer(app)) as client:

        async def post(body: Any, headers: dict[str, str] = near) -> tuple[int, Any]:
            async with client.post(INCOMING, json=body, headers=headers) as answer:
                return answer.status, await answer.json()

        assert await post(dial()) == (200, {"status": "success", "enterprise_number": ENTERPRISE})
        assert (await post(hangup("9.9", start=START, end="never")))[0] == 400
        assert spool.waiting == 1
        async with client.post(INCOMING, data=b"{", headers=near) as answer:
            assert answer.status == 400
        async with client.get("/healthz") as answer:
            assert answer.status == 503
