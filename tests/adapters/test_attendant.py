"""One call, one step further: what is recorded when MoySklad is away, when it is somebody else's call, and what comes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters import reactor
from adapters.attendant import UNHURRIED_MS, Ownership, new_event
from adapters.folded import OWN_SIGNALS
from adapters.memory_store import MemoryEventStore
from core.decisions import Limits
from core.effects import (
    ConfirmCall,
    CreateContact,
    Deferred,
    Effect,
    FindContact,
    FindEmployees,
    Refused,
    RegisterCall,
    Unavailable,
    UpdateCall,
    Way,
    encode_effect,
    way_of,
)
from core.events import CallSettled, EffectDeferred, EffectDone, EffectFailed, EffectRefused, EffectStarted, Event
from core.plan import ENDED_FRESH_MS
from core.ports import Append, Due, StreamId
from core.signals import EVENTS, Wire
from core.values import Urgency
from tests.adapters.moysklad.virtual import in_virtual_time
from tests.adapters.reactor_rig import ANSWERED, ReactorRig, lost, polling, reactor_rig
from tests.core import wire
from tests.eventually import until
from tests.moysklad_model import MoySkladModel
from tests.scenario import heard, ms
from tests.settings import settings_with

LIMITS = Limits()

RING = [event for _, event in heard(ANSWERED)[:2]]


def outcomes(history: list[Event]) -> list[Event]:
    return [event for event in history if event.type.startswith("effect_")]


def away(effect: Effect, nth: int) -> Exception | None:
    return Deferred("MoySklad is away", retry_after_ms=5_000)


def calls_away(effect: Effect, nth: int) -> Exception | None:
    return None if way_of(effect) is Way.JSON else Deferred("MoySklad is away", retry_after_ms=5_000)


def contacts_away(effect: Effect, nth: int) -> Exception | None:
    return Deferred("the JSON API is away", retry_after_ms=20_000) if way_of(effect) is Way.JSON else None


# -- MoySklad is away -----------------------------------------------------------------------------------------------


async def test_what_is_put_off_is_told_once_and_nothing_is_started() -> None:
    at = reactor_rig(door=calls_away)
    at.gateway.model.contacts["+375290000001"] = "ann"
    stream = await at.hear("A", *RING)
    await at.settle(stream)
    await at.let_pass(ms(60))
    told = [event for event in outcomes(await at.history(stream)) if not isinstance(event, EffectDone)]
    assert [type(event) for event in told] == [EffectDeferred]
    (deferral,) = told
    assert isinstance(deferral, EffectDeferred)
    assert (deferral.reason, deferral.until_ms - deferral.at_ms) == ("MoySklad is away", 5_000)
    assert len(at.gateway.turns) > 8, "it is tried again and again"
    at.gateway.door = lambda effect, nth: None
    await at.let_pass(ms(70))
    assert at.gateway.model.rows[0].screens() == {"101": "shown", "102": "shown"}


async def test_a_call_that_began_and_ended_in_an_outage_is_registered_complete_in_one_request() -> None:
    at = reactor_rig(door=away, away=lambda effect: True)
    at.gateway.model.contacts["+375290000001"] = "ann"
    stream = await at.hear_and_attend("A", ANSWERED)
    await at.let_pass(ms(3_600))
    at.gateway.door, at.gateway.away = (lambda effect, nth: None), (lambda effect: False)
    await at.let_pass(ms(3_700))
    assert [type(effect) for effect in at.gateway.asked] == [FindContact, RegisterCall]
    (row,) = at.gateway.model.rows
    assert (row.events, row.extension, row.end_ms, row.contact) == ([], "101", ms(35), "ann")
    assert len(outcomes(await at.history(stream))) <= 7, "an hour away does not fill the history"


async def test_a_record_that_failed_again_and_again_in_an_outage_is_registered_with_its_contact() -> None:
    """It is sent again minutes after MoySklad is back, and its contact was last asked for minutes before."""
    at = reactor_rig(before=lambda effect, nth: lost(ambiguous=False))
    at.settings.settings = settings_with(notify="none")
    at.gateway.model.contacts["+375290000001"] = "ann"
    await at.hear_and_attend("A", ANSWERED)
    await at.let_pass(ms(3_000))
    at.gateway.before = lambda effect, nth: None
    await at.let_pass(ms(3_600))
    (row,) = at.gateway.model.rows
    assert (row.contact, row.end_ms) == ("ann", ms(35))


async def test_a_card_does_not_wait_for_a_contact_that_cannot_come_in_time() -> None:
    at = reactor_rig(door=contacts_away)
    stream = await at.hear("A", *RING)
    await at.settle(stream)
    assert at.gateway.model.rows[0].screens() == {"101": "shown", "102": "shown"}
    assert [type(event) for event in outcomes(await at.history(stream))] == [EffectDeferred, EffectStarted, EffectDone]


async def test_a_record_does_not_wait_for_contacts_that_are_away_alone() -> None:
    at = reactor_rig(door=contacts_away, away=lambda effect: way_of(effect) is Way.JSON)
    at.jitter = 1.0
    stream = await at.hear_and_attend("A", ANSWERED.replace("answered", ""))
    await at.let_pass(ms(60))
    (row,) = at.gateway.model.rows
    assert row.end_ms is not None
    due = await at.store.next_due_ms()
    assert due is not None, "the client is still to be created"
    assert due <= at.now_ms + UNHURRIED_MS * 1.3
    at.gateway.door = lambda effect, nth: None
    await at.let_pass(ms(900))
    assert len(at.gateway.model.by_sync_id) == 1
    assert await at.store.next_due_ms() is None
    assert isinstance((await at.history(stream))[-1], EffectDone)


async def test_what_was_put_off_until_an_api_is_back_does_not_wait_for_its_time() -> None:
    at = reactor_rig(door=contacts_away, away=lambda effect: way_of(effect) is Way.JSON)
    at.jitter = 1.0
    stream = await at.hear_and_attend("A", ANSWERED.replace("answered", ""))
    await at.let_pass(ms(60))
    at.reactor.answers_again("0999")
    await at.reactor.idle()
    assert not at.gateway.model.by_sync_id, "that was another enterprise's"
    at.gateway.door, at.gateway.away = (lambda effect, nth: None), (lambda effect: False)
    asked = len(at.gateway.turns)
    at.reactor.answers_again("0367")
    await at.reactor.idle()
    assert len(at.gateway.model.by_sync_id) == 1
    assert at.gateway.turns[asked].urgency is not Urgency.LIVE
    assert isinstance((await at.history(stream))[-1], EffectDone)
    at.reactor.answers_again("0367")
    await at.reactor.idle()
    assert await at.store.next_due_ms() is None


async def test_what_answers_again_in_the_moment_in_which_it_is_put_off_is_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at = reactor_rig(door=contacts_away, away=lambda effect: way_of(effect) is Way.JSON)
    at.jitter = 1.0
    put_off = at.store.set_due

    async def answering(stream: StreamId, version: int, due_ms: int | None, urgency: Urgency = Urgency.LIVE) -> bool:
        is_set = await put_off(stream, version, due_ms, urgency)
        if at.gateway.model.rows and at.gateway.model.rows[0].end_ms is not None:
            at.gateway.door, at.gateway.away = (lambda effect, nth: None), (lambda effect: False)
            at.reactor.answers_again("0367")
        return is_set

    monkeypatch.setattr(at.store, "set_due", answering)
    await at.hear_and_attend("A", ANSWERED.replace("answered", ""))
    await at.let_pass(ms(60))
    assert len(at.gateway.model.by_sync_id) == 1


async def test_what_always_says_in_a_moment_is_not_asked_in_a_moment_for_ever() -> None:
    """Code 1065 says of itself "in 300 ms"; the first time it is believed."""
    busy = Unavailable("1065", ambiguous=False, retry_after_ms=300)
    at = reactor_rig(before=lambda effect, nth: busy if isinstance(effect, RegisterCall) else None)
    await at.hear_and_attend("A", ANSWERED)
    await at.let_pass(ms(600))
    assert 5 < len([effect for effect in at.gateway.asked if isinstance(effect, RegisterCall)]) < 30


async def test_a_recording_in_doubt_does_not_wait_for_the_other_api() -> None:
    at = reactor_rig(door=contacts_away, away=lambda effect: way_of(effect) is Way.JSON)
    at.jitter, losing = 1.0, [True]

    def recording_lost(effect: Effect, nth: int) -> Exception | None:
        return lost() if isinstance(effect, UpdateCall) and effect.recordings and losing and losing.pop() else None

    at.gateway.before = recording_lost
    await at.hear_and_attend("A", ANSWERED.replace("answered", "answered rec=https://rec.example.invalid/1.mp3"))
    await at.let_pass(ms(200))
    (row,) = at.gateway.model.rows
    assert (losing, row.recordings) == ([], ["https://rec.example.invalid/1.mp3"])


async def test_another_instances_calls_are_not_woken() -> None:
    at = reactor_rig(door=contacts_away, away=lambda effect: way_of(effect) is Way.JSON)
    await at.hear_and_attend("A", ANSWERED.replace("answered", ""))
    await at.let_pass(ms(60))
    asked = len(at.gateway.turns)
    at.reactor.lost("0367")
    at.reactor.answers_again("0367")
    await at.reactor.idle()
    assert len(at.gateway.turns) == asked


async def test_no_more_calls_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactor, "REMEMBERED_OF_EACH", 2)
    at = reactor_rig(door=contacts_away, away=lambda effect: way_of(effect) is Way.JSON)
    for call in "ABC":
        await at.hear_and_attend(call, ANSWERED.replace("answered", ""))
    await at.let_pass(ms(60))
    asked = len(at.gateway.turns)
    at.reactor.answers_again("0367")
    await at.reactor.idle()
    assert len(at.gateway.turns) - asked == 2, "the third comes at its time"


async def test_what_found_no_room_comes_again_when_there_should_be_some() -> None:
    at = reactor_rig(door=contacts_away)
    at.jitter = 1.0
    await at.hear_and_attend("A", ANSWERED.replace("answered", ""))
    await at.let_pass(ms(60))
    due = await at.store.next_due_ms()
    assert due is not None, "the client is still to be created"
    assert due <= at.now_ms + 20_000 * 1.2, "nobody said that its API is away, only that there is no room for 20 s"


@pytest.mark.parametrize("again_after_s", [0.5, 3, 60])
async def test_a_record_waits_ten_seconds_for_its_contact_however_often_it_is_put_off(again_after_s: float) -> None:
    """Others find out whether the JSON API is back, and this call is told each time that it is away for a little."""

    def busy(effect: Effect, nth: int) -> Exception | None:
        return Deferred("away", retry_after_ms=int(again_after_s * 1_000)) if way_of(effect) is Way.JSON else None

    at = reactor_rig(door=busy, away=lambda effect: way_of(effect) is Way.JSON)
    stream = await at.hear_and_attend("A", "0 A start\n3 A hangup")
    await at.let_pass(ms(120))
    (settled,) = [event for event in await at.history(stream) if isinstance(event, CallSettled)]
    (registered,) = [event for event in await at.history(stream) if isinstance(event, EffectStarted)]
    assert registered.at_ms <= settled.at_ms + LIMITS.record_wait_ms


async def test_a_record_does_not_wait_for_as_long_as_was_asked_for_during_the_call() -> None:
    told = Unavailable("busy", ambiguous=False, retry_after_ms=600_000)
    at = reactor_rig(before=lambda effect, nth: told if way_of(effect) is Way.JSON else None)
    stream = await at.hear_and_attend("A", "0 A start\n1 A dial 101\n3 A hangup")
    await at.let_pass(ms(120))
    history = await at.history(stream)
    (settled,) = [event for event in history if isinstance(event, CallSettled)]
    (registered,) = [event for event in history if isinstance(event, EffectStarted)]
    assert registered.at_ms <= settled.at_ms + LIMITS.record_wait_ms


async def test_a_card_that_has_waited_for_room_does_not_wait_for_the_directory_anew() -> None:
    def queue(effect: Effect, nth: int) -> Exception | None:
        at.now_ms += 1_200
        return None

    at = reactor_rig(door=queue)
    at.settings.settings = settings_with(mapped=())
    await at.hear_and_attend("A", "0 A dial 101")
    assert at.gateway.asked[0] == FindEmployees(extensions=("101",), deadline_ms=ms(0) + LIMITS.contact_wait_ms)


async def test_a_card_waits_for_the_directory_only_once_however_often_it_is_put_off() -> None:
    def busy(effect: Effect, nth: int) -> Exception | None:
        return Deferred("no room", retry_after_ms=400) if isinstance(effect, FindEmployees) else None

    at = reactor_rig(door=busy)
    at.settings.settings = settings_with(mapped=())
    stream = await at.hear_and_attend("A", "0 A dial 101")
    await at.let_pass(ms(9))
    shown = [event for event in await at.history(stream) if isinstance(event, EffectDone) and event.at_ms <= ms(1.5)]
    assert shown, "by the extension alone"
    assert at.gateway.model.rows[0].screens() == {"101": "shown"}


async def test_while_calls_are_away_what_is_not_live_is_held_and_what_is_live_is_tried() -> None:
    at = reactor_rig(door=away, away=lambda effect: True)
    ended = [await at.hear(f"e{n}", *(event for _, event in heard(ANSWERED))) for n in range(50)]
    at.now_ms = ms(300)
    for stream in ended:
        at.reactor.wake(stream, Urgency.BACKLOG)
    await at.reactor.idle()
    tried = len(at.gateway.turns)
    assert tried <= 8, "the first to hear of it holds the others back"
    at.reactor.wake(await at.hear("L", *(event for _, event in heard("300 L start\n300.2 L dial 101"))))
    await at.reactor.idle()
    assert {turn.urgency for turn in at.gateway.turns[tried:]} == {Urgency.LIVE}
    at.gateway.door, at.gateway.away = (lambda effect, nth: None), (lambda effect: False)
    at.now_ms += 5_000
    at.reactor.wake(StreamId(enterprise="0367", name="call/L"))
    await at.let_pass(at.now_ms + 60_000)  # somebody is on the phone: of a backlog one is begun at each moment of this clock
    assert len(at.gateway.model.rows) == 51


async def test_how_old_the_backlog_is_does_not_depend_on_how_often_it_was_looked_at() -> None:
    at = reactor_rig(door=away, away=lambda effect: True)
    stream = await at.hear_and_attend("A", ANSWERED)
    await at.let_pass(ms(600))
    (due,) = await at.store.due(at.now_ms, 10)
    assert due.stream == stream
    assert due.due_ms <= ms(40), "since its record was settled"


async def test_a_call_that_is_not_registered_yet_does_not_wait_minutes_for_its_contact() -> None:
    soon = Deferred("the JSON API is tried just now", retry_after_ms=3_000)
    at = reactor_rig(door=lambda effect, nth: soon if way_of(effect) is Way.JSON else None)
    await at.hear("A", *(event for _, event in heard(ANSWERED)))
    at.now_ms = ms(300)
    await at.settle(StreamId(enterprise="0367", name="call/A"))
    due = await at.store.next_due_ms()
    assert due is not None
    assert due <= ms(304)


async def test_an_account_known_to_be_refused_parks_the_call_without_a_request() -> None:
    no = Refused("the key was revoked", remedy="enter a new one", code=1056)
    at = reactor_rig(door=lambda effect, nth: None if way_of(effect) is Way.JSON else no)
    stream = await at.hear_and_attend("A", ANSWERED)
    await at.let_pass(ms(300))
    assert [effect for effect in at.gateway.asked if way_of(effect) is not Way.JSON] == []
    refused = [event for event in await at.history(stream) if isinstance(event, EffectRefused)]
    assert refused
    assert {(event.error, event.remedy) for event in refused} == {("the key was revoked", "enter a new one")}
    assert await at.store.next_due_ms() is None


# -- whose turn it is -------------------------------------------------------------------------------------------------


async def test_each_request_is_as_urgent_as_its_call() -> None:
    at = reactor_rig()
    at.gateway.model.contacts["+375290000001"] = "ann"
    await at.hear_and_attend("A", ANSWERED)
    await at.let_pass(ms(200))
    assert {turn.urgency for turn in at.gateway.turns} == {Urgency.LIVE}, "the end rides with the hiding of the card"
    at.gateway.turns.clear()
    fresh = await at.hear("B", *(event for _, event in heard("300 B hangup 101 answered")))
    await at.settle(fresh)
    await at.let_pass(at.now_ms + 6_000)
    assert {turn.urgency for turn in at.gateway.turns} == {Urgency.ENDED}
    at.gateway.turns.clear()
    await at.hear("C", *(event for _, event in heard("400 C hangup 101 answered")))
    at.now_ms += ENDED_FRESH_MS + 10_000
    await at.settle(StreamId(enterprise="0367", name="call/C"))
    assert {turn.urgency for turn in at.gateway.turns} == {Urgency.BACKLOG}


async def test_how_urgent_a_call_is_stays_with_its_due_time() -> None:
    at = reactor_rig(door=calls_away)
    await at.settle(await at.hear("A", *RING))
    old = await at.hear("B", *(event for _, event in heard("1 B hangup 101 answered")))
    at.now_ms += 300_000
    await at.settle(old)
    urgencies = {due.stream.name: due.urgency for due in await at.store.due(at.now_ms + 600_000, 10)}
    assert urgencies == {"call/A": Urgency.LIVE, "call/B": Urgency.BACKLOG}


# -- another instance -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Shared:
    """An ownership that the test hands out."""

    mine: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def owns(self, enterprise: str) -> bool:
        return enterprise in self.mine

    def quiet_ms(self, enterprise: str) -> int | None:
        return 1_234

    def request(self, enterprise: str) -> None:
        self.asked.append(enterprise)

    def owned(self) -> Collection[str] | None:
        return self.mine


def shared(*mine: str, holds: Callable[[Effect], asyncio.Event | None] = lambda effect: None) -> tuple[ReactorRig, Shared]:
    at = reactor_rig(holds=holds)
    at.ownership = Shared(set(mine))
    at.another()
    return at, at.ownership


async def test_a_call_of_an_enterprise_that_is_not_ours_is_left_alone_and_asked_for() -> None:
    at, ownership = shared()
    stream = await at.hear("A", *RING)
    await at.settle(stream)
    assert (at.gateway.asked, ownership.asked) == ([], ["0367"])
    ownership.mine.add("0367")
    at.reactor.claimed("0367")
    await at.reactor.idle()
    assert len(at.gateway.model.rows) == 1
    assert at.gateway.turns[0].quiet_ms == 1_234


class AskedStore(MemoryEventStore):
    """Remembers of whom it was asked what is due."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[set[str] | None] = []

    async def due(
        self, now_ms: int, per_enterprise: int, enterprises: Collection[str] | None = None, **most: Any
    ) -> list[Due]:
        self.asked.append(None if enterprises is None else set(enterprises))
        return await super().due(now_ms, per_enterprise, enterprises, **most)


async def test_what_is_due_is_looked_for_at_once_where_an_enterprise_was_claimed_and_only_there() -> None:
    store = AskedStore()
    at = reactor_rig(store)
    ownership = at.ownership = Shared({"0368", "0369"})
    at.another()
    await at.hear("A", *RING)
    async with polling(at.reactor):
        await until(lambda: store.asked == [{"0368", "0369"}])
        ownership.mine.add("0367")
        at.reactor.claimed("0367")
        await until(lambda: len(at.gateway.model.rows) == 1)
        at.reactor.claimed("0370")  # and lost again before anybody looked
        await until(lambda: not at.reactor._claimed)
        assert store.asked == [{"0368", "0369"}, {"0367"}]
        at.reactor.look()
        await until(lambda: len(store.asked) == 3)
    assert store.asked[2] == {"0367", "0368", "0369"}


def test_everything_is_looked_for_once_a_second_however_often_something_is_claimed() -> None:
    async def run() -> None:
        store = AskedStore()
        at = reactor_rig(store)
        at.ownership = Shared({"0367", "0368"})
        at.another()
        async with polling(at.reactor):
            for _ in range(38):
                at.reactor.claimed("0367")
                await asyncio.sleep(0.1)
        everywhere = [each for each in store.asked if each == {"0367", "0368"}]
        assert (len(everywhere), len(store.asked) > 30) == (4, True)

    in_virtual_time(run())


async def test_whoever_lost_the_enterprise_goes_no_step_further() -> None:
    gate = asyncio.Event()
    at, ownership = shared("0367", holds=lambda effect: gate if isinstance(effect, FindContact) else None)
    stream = await at.hear("A", *RING)
    at.reactor.wake(stream)
    await until(lambda: at.gateway.underway == 1)
    assert at.gateway.turns[0].permit()
    ownership.mine.clear()
    assert not at.gateway.turns[0].permit()
    gate.set()
    await at.reactor.idle()
    assert [type(effect) for effect in at.gateway.asked] == [FindContact]


async def test_one_that_wakes_up_late_cannot_undo_what_its_successor_asks() -> None:
    """Frozen in the middle of a POST that never left; the other looked, found nothing, and is registering the call itself."""
    gate = asyncio.Event()
    slow, ownership = shared("0367", holds=lambda effect: gate if isinstance(effect, RegisterCall) else None)
    stream = await slow.hear("A", *RING)
    slow.reactor.wake(stream)
    await until(lambda: any(isinstance(effect, RegisterCall) for effect in slow.gateway.asked))

    slow.gateway.before = lambda effect, nth: lost(ambiguous=False) if isinstance(effect, RegisterCall) else None
    other = ReactorRig(slow.store, type(slow.gateway)(model=slow.gateway.model))
    other.now_ms = slow.now_ms + 30_000  # even a slow MoySklad has acted by then
    underway = asyncio.Event()
    other.gateway.holds = lambda effect: underway if isinstance(effect, RegisterCall) else None
    other.reactor.wake(stream)
    await until(lambda: any(isinstance(effect, RegisterCall) for effect in other.gateway.asked))

    before = await slow.history(stream)
    ownership.mine.clear()
    gate.set()
    await slow.reactor.idle()
    assert await slow.history(stream) == before, "its own failure is about a question that is not open any more"
    assert slow.reactor.counters.superseded == 1
    underway.set()
    await other.reactor.idle()
    assert len(slow.gateway.model.rows) == 1


async def test_a_late_look_up_cannot_undo_a_registration_either() -> None:
    """It saw "not there" before its successor registered the call; believed now, the call would be registered twice."""
    gate = asyncio.Event()
    at = reactor_rig(holds=lambda effect: gate if isinstance(effect, ConfirmCall) else None)
    stream = await at.hear("A", *RING)
    register = RegisterCall(external_id="0367-A", number="+375290000001", incoming=True, start_ms=ms(0))
    started = EffectStarted(key="r", at_ms=at.now_ms, effect=encode_effect(register))
    await at.store.append(Append(stream=stream, events=(new_event(started),)))
    at.reactor.wake(stream)
    await until(lambda: at.gateway.underway == 1)
    again = EffectStarted(key="r", at_ms=at.now_ms + 9_000, effect=encode_effect(register))
    await at.store.append(Append(stream=stream, events=(new_event(again),)))
    at.gateway.holds = lambda effect: None
    gate.set()
    await at.reactor.idle()
    looked = [event for event in await at.history(stream) if isinstance(event, EffectDone)]
    assert at.reactor.counters.superseded == 1
    assert at.gateway.asked.count(ConfirmCall(external_id="0367-A")) > sum(
        event.effect["type"] == ConfirmCall.type for event in looked
    )


async def test_signals_that_come_meanwhile_keep_no_outcome_out() -> None:
    gate = asyncio.Event()
    at = reactor_rig(holds=lambda effect: gate if isinstance(effect, RegisterCall) else None)
    stream = await at.hear("A", *RING)
    at.reactor.wake(stream)
    await until(lambda: any(isinstance(effect, RegisterCall) for effect in at.gateway.asked))
    for _, event in heard(ANSWERED)[2:]:
        await at.hear("A", event)
    gate.set()
    await at.reactor.idle()
    await at.let_pass(ms(200))
    (row,) = at.gateway.model.rows
    assert (row.extension, row.screens(), row.end_ms) == ("101", {}, ms(35))
    assert not any(isinstance(event, EffectFailed) for event in await at.history(stream))


class Forgetful(MemoryEventStore):
    """A store that was failed over to a copy that lacks the last events."""

    def forget(self, stream: StreamId, version: int) -> None:
        del self._streams[stream][version:]


async def test_a_store_that_lost_events_in_a_fail_over_is_believed() -> None:
    store = Forgetful()
    at = reactor_rig(store)
    stream = await at.hear("A", *RING)
    await at.settle(stream)
    store.forget(stream, 2)  # the dial is known, the registration is not
    await at.hear("A", *(event for _, event in heard(ANSWERED)[2:]))
    await at.settle(stream)
    await at.settle(stream)
    await at.let_pass(ms(200))
    assert all(row.screens() == {} for row in at.gateway.model.rows)


@pytest.mark.parametrize("kind", [FindContact, CreateContact, RegisterCall, UpdateCall])
def test_contacts_and_calls_are_told_apart(kind: type[Effect]) -> None:
    examples: dict[type[Effect], Effect] = {
        FindContact: FindContact(number="1"),
        CreateContact: CreateContact(number="1", sync_id="s"),
        RegisterCall: RegisterCall(external_id="e", number="1", incoming=True, start_ms=0),
        UpdateCall: UpdateCall(external_id="e", call="c"),
    }
    assert (way_of(examples[kind]) is Way.JSON) == (kind in (FindContact, CreateContact))


def test_the_alone_own_everything() -> None:
    from adapters.attendant import Alone

    alone: Ownership = Alone()
    alone.request("0367")
    assert (alone.owns("0367"), alone.quiet_ms("0367"), alone.owned()) == (True, None, None)
    assert MoySkladModel().rows == []


def test_what_is_said_in_a_call_s_own_stream_is_known_to_be_said_there() -> None:
    """The attendant waits for the switchboard up to the newest of these, and for nothing that it brought itself."""
    said = [wire.heard(Wire.CALL_EVENT, wire.pbx(name, BridgeUniqueid="b-1")) for name in EVENTS]
    assert said
    assert {type(each.event) for each in said if each.stream.startswith("call/")} <= set(OWN_SIGNALS)
    assert not any(isinstance(each.event, OWN_SIGNALS) for each in said if not each.stream.startswith("call/"))
