"""Taking signals in, below HTTP: what is kept of a refusal, and what is an outage and what a bug."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from adapters.ingest import KEPT_BODY, PREPARED_IN_A_ROW, Ingest, Patience, Prepared, SaidBefore, Taken
from adapters.memory_store import MemoryEventStore
from adapters.settings_store import SettingsStore
from adapters.vault import Vault
from bench.by_hand import Clock
from core.errors import AppendRefused, StoreUnavailable, VersionConflict
from core.ports import Append, Appended, EventStore, RecordedEvent, StreamId
from core.signals import Heard, SignalError, Wire, content_digest
from tests.adapters.stores import Away, Gated, Stuck
from tests.core.wire import heard
from tests.eventually import until
from tests.rig import ENTERPRISE, KEY, MINSK, Rig, running

VAULT = Vault([KEY])
DIAL = {"enterprise_number": ENTERPRISE, "phone": "+375290000001", "extension": "151", "unique_id": "1.1", "direction": "in"}


@pytest.fixture
async def rig(database_url: str) -> AsyncIterator[Rig]:
    async with running(database_url) as rig:
        yield rig


async def test_what_is_taken_is_on_disk(rig: Rig) -> None:
    taken = await rig.service.ingest.take(Wire.INCOMING_CALL, DIAL)
    assert (taken.status, taken.call, taken.duplicate, taken.position) == ("success", "1.1", False, 1)
    kept = await rig.service.pool.fetchval("SELECT data ->> 'number' FROM events WHERE position = 1")
    assert kept == "+375290000001"


async def test_a_refusal_is_kept_whatever_is_in_it(rig: Rig) -> None:
    error = SignalError("odd\x00", "field\ud800", "hint\x00")
    odd = {"a\x00": "\ud800", "big": 2**80, "inf": float("inf")}
    for body in ("x \x00\ud800" * 10_000, odd, [object()], None, {"enterprise_number": 7}):
        await rig.service.ingest.reject("call-event", body, error)
    rows = await rig.service.pool.fetch("SELECT * FROM rejected_input ORDER BY id")
    assert len(rows) == 5 == rig.service.ingest.rejected
    assert KEPT_BODY // 2 < max(len(row["body"]) for row in rows) <= KEPT_BODY
    assert {(row["error"], row["field"], row["hint"]) for row in rows} == {("odd", "field?", "hint")}
    assert [row["enterprise"] for row in rows] == ["", "", "", "", "7"]


async def test_a_refusal_that_cannot_be_kept_is_still_a_refusal(rig: Rig) -> None:
    rig.lose_database()
    with pytest.raises(SignalError):
        await rig.service.ingest.take(Wire.INCOMING_CALL, {})


async def test_without_a_database_nothing_is_acknowledged(rig: Rig) -> None:
    rig.lose_database()
    for body in ({**DIAL, "enterprise_number": "0999"}, {"event": "dial", "token": "x", **DIAL, "enterprise_number": ""}):
        with pytest.raises(StoreUnavailable):
            await rig.service.ingest.take(Wire.CALL_EVENT, {"event": "dial", **body})
    with pytest.raises(StoreUnavailable):
        await rig.service.ingest.take(Wire.INCOMING_CALL, {**DIAL, "ms_config": {"integration_code": "k" * 20}})


IMPATIENT = Patience(take_s=0.02, keep_s=0.02, answer_s=0.05)


def stuck_ingest(pool: Stuck, patience: Patience = IMPATIENT) -> Ingest:
    """A way in whose every look-up hangs."""
    settings = SettingsStore(pool, VAULT, public_url="https://calls.example.invalid")
    return Ingest(store=MemoryEventStore(), settings=settings, pool=pool, zone=MINSK, now_ms=Clock(), patience=patience)


@pytest.mark.parametrize(
    "body",
    [
        {"event": "dial", **DIAL},
        {"event": "dial", **DIAL, "enterprise_number": "", "token": "x"},
        {"event": "dial", "phone": "+375290000001", "ms_config": {"integration_code": "k" * 20}},
    ],
    ids=["settings", "token", "inline"],
)
async def test_whatever_look_up_hangs_the_sender_is_told_in_time(body: dict[str, Any]) -> None:
    pool = Stuck()
    with pytest.raises(StoreUnavailable):
        await stuck_ingest(pool).take(Wire.CALL_EVENT, body)
    assert pool.asked == 1
    pool.let_go.set()


async def test_a_store_that_hangs_is_told_in_time(rig: Rig) -> None:
    store, service = Gated(), rig.service
    ingest = Ingest(
        store=store, settings=service.settings, pool=service.pool, zone=MINSK, now_ms=rig.clock, patience=IMPATIENT
    )
    with pytest.raises(StoreUnavailable):
        await ingest.take(Wire.INCOMING_CALL, DIAL)
    store.gate.set()
    await until(lambda: ingest.heard)
    assert (await over(rig, store).take(Wire.INCOMING_CALL, DIAL)).duplicate, "what was recorded after all is recognised"


async def test_whoever_has_waited_already_is_told_in_time_and_it_is_recorded_all_the_same(rig: Rig) -> None:
    store, service, ages = Gated(), rig.service, Patience(take_s=3_600.0)
    ingest = Ingest(store=store, settings=service.settings, pool=service.pool, zone=MINSK, now_ms=rig.clock, patience=ages)
    with pytest.raises(StoreUnavailable):
        await ingest.take(Wire.INCOMING_CALL, DIAL, until_s=asyncio.get_running_loop().time())
    store.gate.set()
    await until(lambda: ingest.heard)


async def test_a_refusal_does_not_wait_for_its_being_kept() -> None:
    pool = Stuck()
    ingest = stuck_ingest(pool)
    for _ in range(3):
        with pytest.raises(SignalError):
            await ingest.take(Wire.CALL_EVENT, {})
    assert pool.asked == 3
    assert pool.finished == 0
    pool.let_go.set()
    await until(lambda: pool.finished == 3)


async def test_a_refusal_that_took_long_is_not_delayed_further() -> None:
    """However long one is willing to wait for its being kept: the sender's time is over."""
    pool = Stuck()
    ingest = stuck_ingest(pool, patience=Patience(take_s=3_600.0, keep_s=3_600.0, answer_s=0.0))
    with pytest.raises(SignalError):
        await ingest.take(Wire.CALL_EVENT, {})
    pool.let_go.set()


def names(prepared: Sequence[Prepared | SignalError]) -> list[str]:
    return [each.append.stream.name if isinstance(each, Prepared) else each.field for each in prepared]


async def test_many_are_prepared_in_order_refusals_among_them(rig: Rig) -> None:
    ingest, bad = rig.service.ingest, SignalError("not JSON", "earlier")
    bodies = [{"event": "dial", **DIAL, "unique_id": f"{n}.1"} for n in range(2 * PREPARED_IN_A_ROW)]
    ready = await ingest.prepare_some(Wire.CALL_EVENT, [*bodies, bad, {}, *bodies[:1]])
    assert names(ready) == [*(f"call/{n}.1" for n in range(2 * PREPARED_IN_A_ROW)), "earlier", "enterprise_number", "call/0.1"]
    assert await rig.service.store.head() == 0
    assert ingest.rejected == 0


async def test_preparing_ends_before_what_is_named_by_those_before(rig: Rig) -> None:
    first = {"event": "dial", **DIAL}
    short = {"event": "hangup", "phone": "+375290000001", "ms_config": {"integration_code": "k" * 20}}
    ready = await rig.service.ingest.prepare_some(Wire.CALL_EVENT, [first, first, short, first])
    assert names(ready) == ["call/1.1", "call/1.1"]
    ready = await rig.service.ingest.prepare_some(Wire.CALL_EVENT, [short, first, short])
    assert len(ready) == 2


async def test_preparing_ends_at_an_outage_with_what_is_ready(rig: Rig) -> None:
    ingest, first = rig.service.ingest, {"event": "dial", **DIAL}
    elsewhere = {**first, "enterprise_number": "0999"}
    await ingest.prepare_some(Wire.CALL_EVENT, [first])
    rig.lose_database()
    assert names(await ingest.prepare_some(Wire.CALL_EVENT, [first, first, elsewhere, first])) == ["call/1.1", "call/1.1"]
    with pytest.raises(StoreUnavailable):
        await ingest.prepare_some(Wire.CALL_EVENT, [elsewhere, first])


class Fussy(MemoryEventStore):
    """Refuses every commit with a certain stream in it."""

    async def append_many(self, appends: Sequence[Append]) -> list[Appended | VersionConflict]:
        """See ``EventStore.append_many``."""
        if any(each.stream.name == "call/7.1" for each in appends):
            raise AppendRefused("it cannot be stored")
        return await super().append_many(appends)


def over(rig: Rig, store: EventStore) -> Ingest:
    service = rig.service
    return Ingest(store=store, settings=service.settings, pool=service.pool, zone=MINSK, now_ms=rig.clock)


async def test_one_that_can_never_be_stored_takes_nobody_with_it(rig: Rig) -> None:
    ingest = over(rig, Fussy())
    bodies = [{"event": "dial", **DIAL, "unique_id": f"{n}.1"} for n in range(20)]
    ready = await ingest.prepare_some(Wire.CALL_EVENT, bodies)
    outcomes = await ingest.record([each for each in ready if isinstance(each, Prepared)])
    assert [each.call if isinstance(each, Taken) else each.hint for each in outcomes] == [
        *(f"{n}.1" for n in range(7)),
        "it cannot be stored",
        *(f"{n}.1" for n in range(8, 20)),
    ]


async def test_what_an_attempt_recorded_before_it_failed_is_no_repeat(rig: Rig) -> None:
    store = Away(failures=1, records_before_it_fails=True)
    ingest = over(rig, store)
    body = {"event": "dial", **DIAL}
    prepared = [each for each in await ingest.prepare_some(Wire.CALL_EVENT, [body, body]) if isinstance(each, Prepared)]
    with pytest.raises(StoreUnavailable):
        await ingest.record(prepared)
    outcomes = await ingest.record(prepared, again=True)
    assert [isinstance(each, Taken) and each.duplicate for each in outcomes] == [False, True]
    assert (ingest.heard, ingest.duplicates, await store.head()) == (2, 1, 1)


class Asked(MemoryEventStore):
    """Counts questions."""

    def __init__(self) -> None:
        super().__init__()
        self.one = self.many = 0

    async def read(self, stream: StreamId, after_version: int = 0) -> list[RecordedEvent]:
        """See ``EventStore.read``."""
        self.one += 1
        return await super().read(stream, after_version)

    async def read_many(self, after: Mapping[StreamId, int]) -> dict[StreamId, list[RecordedEvent]]:
        """See ``EventStore.read_many``."""
        self.many += 1
        return {stream: await MemoryEventStore.read(self, stream, version) for stream, version in after.items()}


@pytest.mark.parametrize("again", [False, True], ids=["sent again", "tried again"])
async def test_hundreds_of_repeats_are_looked_at_in_one_question(rig: Rig, again: bool) -> None:
    """After an outage a stream sends again what was not acknowledged: one question each would take longer than anybody waits."""
    store = Asked()
    ingest = over(rig, store)
    dials = [{**ringing("101"), "raw": {**ringing("101")["raw"], "UniqueId": f"{nth}.1"}} for nth in range(200)]
    prepared = [each for each in await ingest.prepare_some(Wire.CALL_EVENT, dials) if isinstance(each, Prepared)]
    await ingest.record(prepared)
    assert (store.one, store.many) == (0, 0)
    outcomes = await ingest.record(prepared, again=again)
    assert (store.one, store.many) == (0, 1)
    assert [each.duplicate for each in outcomes if isinstance(each, Taken)] == [not again] * len(prepared)


def ringing(*extensions: str) -> dict[str, Any]:
    raw = {"UniqueId": "1.1", "Phone": "375290000001", "Extensions": list(extensions), "CallType": 0, "Trunk": "t"}
    return {"event": "dial", "enterprise_number": ENTERPRISE, "raw": raw}


async def test_telephones_that_ring_in_turn_have_the_card_each_time(rig: Rig) -> None:
    """A queue rings 101, 102 and 101 again, and says the same of the first and the third (CONTRACT-ASTERISK, quirk 3)."""
    for turn, extension in enumerate(("101", "102", "101", "102", "101")):
        taken = await rig.service.ingest.take(Wire.CALL_EVENT, ringing(extension))
        assert not taken.duplicate, turn
        assert (await rig.service.ingest.take(Wire.CALL_EVENT, ringing(extension))).duplicate, "delivered twice"
        await rig.settle()
        await rig.wait(10_000)
        (row,) = await rig.rows()
        shown = [event["extension"] for event in row["events"] if event["event_type"] == "SHOW"]
        assert shown == ["101", "102", "101", "102", "101"][: turn + 1]


async def test_over_ami_the_digest_itself_tells_whether_it_rings_again(rig: Rig) -> None:
    repeats = []
    for extension in ("101", "102", "101"):
        dial = replace(heard(Wire.CALL_EVENT, ringing(extension)).event, wire="ami/asterisk", heard_ms=rig.clock.now_ms)
        said = Heard(event=dial, stream="call/1.1", digest=content_digest(dial, "call/1.1"))
        (taken,) = await rig.service.ingest.record([await rig.service.ingest.prepare_heard(ENTERPRISE, said)])
        assert isinstance(taken, Taken)
        repeats.append(taken.duplicate)
        rig.clock.now_ms += 20_000
    assert repeats == [False, False, True]


async def test_what_is_given_without_waiting_goes_the_ordinary_way_where_it_may_ring_again(rig: Rig) -> None:
    ingest = rig.service.ingest
    await ingest.take(Wire.CALL_EVENT, ringing("101"))
    prepared = ingest.ready(Wire.CALL_EVENT, ringing("101"))
    assert prepared is not None
    future = ingest.give(prepared)
    assert future is not None
    await future
    with pytest.raises(SaidBefore):
        ingest.given(prepared, future)


async def test_a_statement_that_is_wrong_is_a_bug_and_not_an_outage(rig: Rig) -> None:
    settings = rig.service.settings
    await rig.service.pool.execute("ALTER TABLE settings_revisions RENAME TO revisions_gone")
    with pytest.raises(asyncpg.UndefinedTableError):
        await settings.inline(ENTERPRISE, {"integration_code": "k" * 20})
    with pytest.raises(asyncpg.UndefinedTableError):
        await settings.save(ENTERPRISE, {"enabled": False}, by="test", reason="test")
    with pytest.raises(asyncpg.UndefinedTableError):
        await settings.at_revision(ENTERPRISE, 77)
