"""The service's own housekeeping."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from dataclasses import replace

import asyncpg

from adapters.postgres.database import connect
from adapters.service import MAX_CONNECTIONS, MONTH_LOCK_MS, YOUNG, calm_the_collector
from bench.by_hand import Clock
from core.decisions import Limits
from core.ports import StreamId
from core.signals import Wire
from tests.adapters.http.support import dial, hangup
from tests.adapters.postgres.support import waiting_for_locks
from tests.corpus import CARDS, calm, fault, send
from tests.playback import recording
from tests.rig import ENTERPRISE, Rig, running, service_beside


async def test_old_and_overflowing_refusals_are_forgotten(database_url: str) -> None:
    async with service_beside(database_url, "http://127.0.0.1:1", Clock()) as service:
        add = "INSERT INTO rejected_input (at, endpoint, error, body) VALUES (now() - make_interval(days => $1), 'e', 'x', '')"
        for days in (40, 31, 29, 0):
            await service.pool.execute(add, days)
        await _one_round(service)
        assert await service.pool.fetchval("SELECT count(*) FROM rejected_input") == 2


async def test_a_database_that_is_away_does_not_end_the_service(database_url: str) -> None:
    async with service_beside(database_url, "http://127.0.0.1:1", Clock()) as service:

        async def away() -> None:
            raise asyncpg.CannotConnectNowError("starting up")

        service.switchboard.prune = away  # type: ignore[method-assign]
        assert not await _one_round(service)


def test_the_collector_leaves_alone_what_was_loaded_and_is_not_turned_off() -> None:
    before = gc.get_threshold()
    try:
        calm_the_collector()
        assert gc.isenabled()
        assert gc.get_threshold()[0] == YOUNG
        assert gc.get_freeze_count() > 1_000
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


async def test_a_signal_is_acknowledged_while_those_who_attend_to_calls_have_every_connection(database_url: str) -> None:
    async with running(database_url) as rig, contextlib.AsyncExitStack() as stack:
        service = rig.service
        for pool in (service.pool, service.derived):
            for _ in range(MAX_CONNECTIONS):
                await stack.enter_async_context(pool.acquire())
        async with asyncio.timeout(5):
            taken = await service.ingest.take(Wire.INCOMING_CALL, dial("1.1"))
        assert taken.status == "success"


async def test_an_order_that_waits_for_its_api_is_made_as_soon_as_another_call_finds_it_there(database_url: str) -> None:
    actions = {"create_client": True, "create_order": "always"}
    async with running(database_url, config={**CARDS, "incoming_call_actions": actions, "organization": "ООО «Песочница»"}) as rig:
        first = recording("inbound_answered")
        rig.clock.now_ms = first[0].at_ms - 1_000
        await fault(rig, action="status", status=503, code=1999, api="remap")
        await send(rig, first)
        await rig.wait(45_000)
        await calm(rig)
        assert await _orders(rig) == 0
        current = await rig.service.settings.current(ENTERPRISE)
        assert current is not None
        rig.service.moysklad.gateway.forget(current.account)  # its wait is real time, which hardly passes here
        second = recording("sequential")
        shift = rig.clock.now_ms + 1_000 - second[0].at_ms
        await send(rig, [replace(line, at_ms=line.at_ms + shift) for line in second])
        await rig.wait(30_000)
        assert await _orders(rig) == 2, "the first call's, too, which is not due for some minutes"


async def test_a_lower_maximum_reaches_calls_that_are_open(database_url: str) -> None:
    clock = Clock()
    async with running(database_url, clock=clock) as rig:
        await rig.service.ingest.take(Wire.INCOMING_CALL, dial("1.1"))
        await rig.wait(1_000)
        await rig.service.runner.catch_up()
        due_ms = await rig.service.pool.fetchval("SELECT due_ms FROM streams WHERE stream = 'call/1.1'")
        assert due_ms - clock.now_ms > 7_000_000
    clock.now_ms += 90_000
    async with running(database_url, clock=clock, limits=Limits(call_max_ms=60_000)) as rig:
        await rig.wait(1_000)
        assert "call_overdue" not in await _types(rig)
        await _one_round(rig.service)
        await rig.wait(1_000)
        assert "call_overdue" in await _types(rig)


async def test_a_leg_that_ends_after_hours_is_its_call_s_where_calls_may_last_so_long(database_url: str) -> None:
    async with running(database_url, limits=Limits(call_max_ms=4 * 3_600_000)) as rig:
        await rig.service.ingest.take(Wire.INCOMING_CALL, dial("1.1"))
        await rig.wait(9_000_000)
        leg = hangup("9.9", start="2026-11-23 17:43:10", end="2026-11-23 17:43:20", direction="internal", extension="152")
        leg["raw"] |= {"CallType": 2, "Extensions": ["152"]}
        await rig.service.ingest.take(Wire.HANGUP_CALL, leg)
        await rig.wait(60_000)
        assert len(await rig.rows()) == 1
        assert "consultation_observed" in await _types(rig)


async def test_a_month_that_somebody_reads_for_long_is_made_later_and_nobody_waits(database_url: str) -> None:
    async with running(database_url) as rig:
        pool = rig.service.pool
        (next_,) = [row["month"] for row in await pool.fetch("SELECT month FROM events_months ORDER BY month DESC LIMIT 1")]
        await pool.execute(f"DROP TABLE events_{next_.replace('-', '_')}")
        await pool.execute("DELETE FROM events_months WHERE month = $1", next_)
        reader = await connect(database_url)
        await reader.execute("BEGIN; LOCK TABLE events_rest IN ACCESS SHARE MODE")  # as a backup does
        making = asyncio.ensure_future(rig.service._make_months())
        await waiting_for_locks(pool, 1)
        async with asyncio.timeout(MONTH_LOCK_MS / 1_000 + 2):
            assert (await rig.service.ingest.take(Wire.INCOMING_CALL, dial("1.1"))).status == "success"
            await making
        assert await pool.fetchval("SELECT count(*) FROM events_months WHERE month = $1", next_) == 0
        await reader.close()
        await rig.service._make_months()
        assert await pool.fetchval("SELECT count(*) FROM events_months WHERE month = $1", next_) == 1


async def test_a_card_goes_when_the_integration_is_deleted_while_a_telephone_rings(database_url: str) -> None:
    lines = recording("inbound_answered")
    ring = next(number for number, line in enumerate(lines) if line.event == "dial") + 1
    actions = {"create_client": True, "create_order": "always"}
    async with running(database_url, config={**CARDS, "incoming_call_actions": actions, "organization": "ООО «Песочница»"}) as rig:
        rig.clock.now_ms = lines[0].at_ms - 1_000
        await send(rig, lines[:ring])
        await calm(rig)
        (row,) = await rig.rows()
        assert row["open_cards"]
        assert await rig.service.settings.delete(ENTERPRISE, by="admin")
        await send(rig, lines[ring:])
        await rig.wait(60_000)
        (row,) = await rig.rows()
        assert (row["open_cards"], bool(row["end_time"])) == ([], True)
        assert await _orders(rig) == 0, "it is only ended"


async def test_what_moysklad_does_not_have_is_not_made_for_an_integration_that_was_deleted(database_url: str) -> None:
    lines = recording("inbound_answered")
    async with running(database_url, config=CARDS) as rig:
        await fault(rig, action="status", status=403, code=1062, api="phone", method="POST", times=1_000)
        rig.clock.now_ms = lines[0].at_ms - 1_000
        await send(rig, lines)
        await rig.wait(60_000)
        await rig.service.runner.catch_up()
        assert await rig.service.settings.delete(ENTERPRISE, by="admin")
        await rig.sandbox.delete("/sandbox/faults")
        call = await rig.service.pool.fetchval("SELECT call FROM calls")
        assert await rig.service.parked.retry_call(ENTERPRISE, call, by="support")
        await rig.service.pool.execute("UPDATE retry_orders SET ripe_at = clock_timestamp()")
        await rig.service.retries.step()
        await rig.wait(30_000)
        assert await rig.rows() == []
        await rig.service.runner.catch_up()
        assert "key" in await rig.service.pool.fetchval("SELECT parked FROM calls")


async def _types(rig: Rig) -> list[str]:
    return [each.type for each in await rig.service.store.read(StreamId(enterprise=ENTERPRISE, name="call/1.1"))]


async def _orders(rig: Rig) -> int:
    made = [each for each in await rig.requests("remap") if each["method"] == "POST" and "/customerorder" in each["path"]]
    return sum(each["status"] == 200 for each in made)


async def _one_round(service: object) -> bool:
    """Let the housekeeping do one round; whether it ended by itself."""
    task = asyncio.create_task(service._prune())  # type: ignore[attr-defined]
    done, _ = await asyncio.wait({task}, timeout=0.5)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return bool(done)
