"""Single posts while the database is away: answered 200 because they are on disk, and calls like any others afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
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
        assert not any(card["event_type"] == "SHOW" for card in row["events"]), "who called is long gone"


async def test_what_is_wrong_is_kept_for_inspection_although_the_database_was_slow(database_url: str, spool: Spool) -> None:
    async with relay_to(database_url) as (relay, dsn), running(dsn, spool=spool) as rig:
        await rig.settle()
        relay.block()
        body = hangup("9.9", start=START, end="never", enterprise_number="0999")  # whose settings have to be looked up
        began = time.monotonic()
        status, told = await rig.post(HANGUP, body)
        assert (status, told["field"]) == (400, "EndTime"), told
        assert time.monotonic() - began < 3, "the dispatcher waits no longer"
        relay.unblock()
        for _ in range(100):
            if found := await rejected(rig):
                break
            await asyncio.sleep(0.05)
        assert [(row["error"], row["enterprise"]) for row in found] == [("EndTime is not a time", "0999")]


async def test_no_card_is_shown_of_a_call_that_was_over_before_the_database_was_back(database_url: str, spool: Spool) -> None:
    async with running(database_url, spool=spool) as rig:
        began_ms = rig.clock.now_ms
        await spool.keep(Kept(wire=Wire.INCOMING_CALL, body=dial(), heard_ms=began_ms))
        for number in range(60):
            others = dial(f"2.{number}", phone=f"+3752911111{number:02}")
            await spool.keep(Kept(wire=Wire.INCOMING_CALL, body=others, heard_ms=began_ms + 100 * number))
        over = hangup(start=START, end="2026-11-23 15:13:30", status="0")
        await spool.keep(Kept(wire=Wire.HANGUP_CALL, body=over, heard_ms=began_ms + 10_000))
        rig.clock.now_ms += 11_000

        async def and_worked_on(kept: Sequence[Kept]) -> int:
            count = await rig.service.ingest.take_kept(kept)
            await rig.settle()
            return count

        await spool.take_in(and_worked_on)
        events = {row["external_id"]: [card["event_type"] for card in row["events"]] for row in await rig.rows()}
        assert "SHOW" not in events.get(f"{ENTERPRISE}-{UNIQUE_ID}", [])
        assert sum("SHOW" in types for types in events.values()) == 60, "those that ring have theirs"


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
