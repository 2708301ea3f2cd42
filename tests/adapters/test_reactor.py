"""The reactor on the store in memory, beside the model of MoySklad: order, retries, doubt, crashes, and who waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from uuid import uuid4

import pytest

from adapters.agenda import PACE_MS, PLACES
from adapters.attendant import BACKOFF_MS, FRESH_MS, HIDE_WAITS_MS, HOLD_BACK_MOST_MS, HOLD_BACK_MS
from adapters.memory_store import MemoryEventStore
from adapters.reactor import DUE_OF_EACH, POLL_S
from core.effects import Effect, FindContact, Performed, Refused, RegisterCall, Unavailable
from core.errors import StoreUnavailable
from core.events import (
    ArrivalObserved,
    BridgeEntered,
    CallerIdObserved,
    CallSettled,
    DialObserved,
    EffectDone,
    EffectFailed,
    EffectRefused,
    EffectStarted,
    Exchange,
)
from core.ports import Append, Appended, Due, NewEvent, RecordedEvent, StreamId
from core.values import Direction, Urgency
from tests.adapters.reactor_rig import ANSWERED, Gateway, ReactorRig, lost, polling, reactor_rig, sequences
from tests.eventually import until
from tests.instances import now_s, virtually
from tests.scenario import heard, ms


async def test_a_call_goes_through_in_order_and_comes_to_rest() -> None:
    at = reactor_rig()
    stream = await at.hear_and_attend("A", ANSWERED)
    await at.let_pass(ms(200_000))
    (row,) = at.gateway.model.rows
    assert (row.extension, row.screens(), row.end_ms) == ("101", {}, ms(35))
    given = sequences(at.gateway.asked)
    assert given == sorted(set(given))
    assert at.gateway.most_underway == 1, "one call has one request at a time"
    assert await at.store.next_due_ms() is None
    outcomes = [event for event in await at.history(stream) if isinstance(event, EffectStarted | EffectDone)]
    writes = [event for event in outcomes if isinstance(event, EffectStarted)]
    for event in writes:
        following = outcomes[outcomes.index(event) + 1]
        assert isinstance(following, EffectDone)
        assert following.key == event.key


async def test_many_calls_go_on_at_once_and_each_in_order() -> None:
    at = reactor_rig()
    calls = [f"call-{n}" for n in range(200)]
    for _, event in heard(ANSWERED):
        for call in calls:
            await at.hear(call, event)
        await at.settle(*(StreamId(enterprise="0367", name=f"call/{call}") for call in calls))
    await at.let_pass(ms(200_000))
    assert len(at.gateway.model.rows) == 200
    assert len({row.external_id for row in at.gateway.model.rows}) == 200
    assert all(row.screens() == {} and row.extension == "101" for row in at.gateway.model.rows)
    assert 16 < at.gateway.most_underway <= PLACES[Urgency.LIVE].each


async def test_a_hanging_request_holds_up_its_own_call_only() -> None:
    gate = asyncio.Event()
    at = reactor_rig(holds=lambda effect: gate if getattr(effect, "external_id", "").endswith("hanging") else None)
    hanging = await at.hear("hanging", *(event for _, event in heard(ANSWERED)[:2]))
    other = await at.hear("other", *(event for _, event in heard(ANSWERED)[:2]))
    at.reactor.wake(hanging)
    at.reactor.wake(other)
    await until(lambda: len(at.gateway.model.rows) == 1 and at.gateway.underway == 1)
    assert at.gateway.model.rows[0].external_id.endswith("other")
    gate.set()
    await at.reactor.idle()
    assert len(at.gateway.model.rows) == 2


async def test_an_enterprise_whose_moysklad_hangs_holds_up_nobody_else() -> None:
    gate = asyncio.Event()
    at = reactor_rig(holds=lambda effect: gate if "0999-" in getattr(effect, "external_id", "") else None)
    for n in range(500):
        at.reactor.wake(await at.hear(f"h{n}", *(event for _, event in heard(ANSWERED)[:2]), enterprise="0999"))
    await until(lambda: at.gateway.underway == PLACES[Urgency.LIVE].each)
    at.reactor.wake(await at.hear("A", *(event for _, event in heard(ANSWERED)[:2])))
    await until(lambda: len(at.gateway.model.rows) == 1)
    assert at.gateway.model.rows[0].external_id == "0367-A"
    gate.set()
    await at.reactor.idle()
    assert len(at.gateway.model.rows) == 501


async def test_ended_calls_that_wait_for_moysklad_hold_up_no_live_card() -> None:
    """A burst or a backlog: the contacts of ended calls wait for the account's limit, a customer rings meanwhile."""
    gate = asyncio.Event()
    at = reactor_rig(holds=lambda effect: gate if isinstance(effect, FindContact) and (effect.deadline_ms or 0) > ms(65) else None)
    ended = [await at.hear(f"ended-{n}", *(event for _, event in heard(ANSWERED))) for n in range(100)]
    at.now_ms = ms(60)  # every grace is over
    for stream in ended:
        at.reactor.wake(stream)
    await until(lambda: at.gateway.underway == PLACES[Urgency.ENDED].each)
    live = heard("60 L start\n60.2 L dial 101")
    at.reactor.wake(await at.hear("L", *(event for _, event in live)))
    await until(lambda: any(row.external_id == "0367-L" and row.screens() for row in at.gateway.model.rows))
    gate.set()
    await at.reactor.idle()
    assert len(at.gateway.model.rows) == 101


def test_a_backlog_goes_on_at_its_pace_beside_a_live_call() -> None:
    async def run() -> None:
        at = reactor_rig()
        old = [await at.hear(f"old-{n}", *(event for _, event in heard(ANSWERED))) for n in range(10)]
        live = await at.hear("L", *(event for _, event in heard("300 L start\n300.2 L dial 101")))
        began_ms = at.now_ms
        at.reactor.wake(live)
        for stream in old:
            at.reactor.wake(stream, Urgency.BACKLOG)
        while len(at.gateway.model.rows) < 11:
            at.now_ms += 1
            await asyncio.sleep(0.001)  # of virtual time
        assert 9 * PACE_MS <= at.now_ms - began_ms <= 11 * PACE_MS

    virtually(run())


async def test_a_call_whose_hangup_overtook_its_bridges_waits_for_them() -> None:
    """After a restart the reactor and the switchboard start at once: a hangup must not settle a call without its bridges."""
    at = ReactorRig(MemoryEventStore(), Gateway(), joined_until=0)
    signals = [event for _, event in heard(ANSWERED)]
    stream = await at.hear("A", *signals[:2], signals[-1])  # the bridges were heard before it, but are not joined yet
    await at.settle(stream)
    assert at.gateway.asked == []
    assert await at.store.due(at.now_ms, 10), "it stays due"
    await at.hear("A", *signals[2:-1])
    at.joined_until = await at.store.head()
    await at.settle(stream)
    (row,) = at.gateway.model.rows
    assert row.extension == "101"


async def test_a_call_does_not_wait_for_ever_for_a_switchboard_that_stands_still() -> None:
    at = ReactorRig(MemoryEventStore(), Gateway(), joined_until=0)
    stream = await at.hear("A", *(event for _, event in heard(ANSWERED)[:2]))
    await at.settle(stream)
    at.now_ms += HOLD_BACK_MS - 1
    await at.settle(stream)
    assert at.gateway.asked == []
    at.now_ms += 1
    await at.settle(stream)
    assert len(at.gateway.model.rows) == 1


async def test_a_call_waits_longer_for_a_switchboard_that_moves_on_but_not_for_ever() -> None:
    at = ReactorRig(MemoryEventStore(), Gateway(), joined_until=0)
    for n in range(20):
        await at.hear(f"other-{n}", *(event for _, event in heard(ANSWERED)[:2]))
    stream = await at.hear("A", *(event for _, event in heard(ANSWERED)[:2]))
    began = at.now_ms
    while at.now_ms - began < HOLD_BACK_MOST_MS:
        await at.settle(stream)
        assert at.gateway.asked == []
        at.joined_until = (at.joined_until or 0) + 1
        at.now_ms += HOLD_BACK_MS - 1_000
    await at.settle(stream)
    assert len(at.gateway.model.rows) == 1


async def test_a_card_does_not_wait_for_the_switchboard() -> None:
    """What a call says of itself is enough to show a card, while it is fresh and nobody clicked."""
    at = ReactorRig(MemoryEventStore(), Gateway(), joined_until=0)
    at.clicks = False
    stream = await at.hear("A", *(event for _, event in heard(ANSWERED)[:2]))
    await at.settle(stream)
    assert at.gateway.model.rows[0].screens() == {"101": "shown", "102": "shown"}


async def test_a_card_waits_for_the_switchboard_where_the_call_may_be_a_click_s() -> None:
    at = ReactorRig(MemoryEventStore(), Gateway(), joined_until=0)
    stream = await at.hear("A", *(event for _, event in heard(ANSWERED)[:2]))
    await at.settle(stream)
    assert at.gateway.asked == []
    at.joined_until = await at.store.head()
    await at.settle(stream)
    assert len(at.gateway.model.rows) == 1


async def test_a_card_waits_where_the_call_began_before_it_was_heard_of() -> None:
    at = ReactorRig(MemoryEventStore(), Gateway(), joined_until=0)
    at.clicks, at.began_ms = False, {"A": ms(-1.1)}
    dialled = await at.hear("A", *(event for _, event in heard("0 A dial 101 out")))
    await at.settle(dialled)
    assert at.gateway.asked == [], "MoySklad is told once when a call began"
    named = CallerIdObserved(heard_ms=ms(-1.1), channel="A")
    await at.hear("A", named)
    at.joined_until = await at.store.head()
    await at.settle(dialled)
    assert [row.start_ms for row in at.gateway.model.rows] == [ms(-1.1)]


async def test_a_card_waits_where_the_call_may_be_the_customer_of_another_one_who_was_sent_on() -> None:
    at = ReactorRig(MemoryEventStore(), Gateway(), joined_until=0)
    at.clicks, at.bridged = False, frozenset({"A", "B"})
    dialled = await at.hear("A", *(event for _, event in heard("0 A dial 102")))
    arrived = await at.hear("B", *(event for _, event in heard("0 B start\n0 B dial 101")))
    await at.settle(dialled)
    assert at.gateway.asked == []
    await at.settle(arrived)
    assert at.gateway.model.rows[0].screens() == {"101": "shown"}, "it came in itself"
    at.joined_until = await at.store.head()
    await at.settle(dialled)
    assert len(at.gateway.model.rows) == 2


async def test_what_was_said_a_while_ago_waits_for_the_bridges_that_may_have_answered_it() -> None:
    """A restart with a backlog: the dial is old, and somebody may have picked up long ago."""
    at = ReactorRig(MemoryEventStore(), Gateway(), joined_until=0)
    at.clicks = False
    stream = await at.hear("A", *(event for _, event in heard(ANSWERED)[:2]))
    at.now_ms += FRESH_MS
    await at.settle(stream)
    assert at.gateway.asked == []


async def test_cards_are_hidden_without_the_switchboard_but_nothing_is_settled() -> None:
    at = ReactorRig(MemoryEventStore(), Gateway(), joined_until=0)
    at.clicks = False
    signals = [event for _, event in heard(ANSWERED)]
    stream = await at.hear("A", *signals[:2])
    await at.settle(stream)
    at.joined_until = await at.store.head()
    await at.hear("A", signals[-1])
    await at.settle(stream)
    assert at.gateway.model.rows[0].screens() == {"101": "shown", "102": "shown"}, "for a moment, to save a request"
    at.now_ms += HIDE_WAITS_MS
    await at.settle(stream)
    assert at.gateway.model.rows[0].screens() == {}
    assert not any(isinstance(event, CallSettled) for event in await at.history(stream))
    await at.hear("A", *signals[2:-1])
    at.joined_until = await at.store.head()
    await at.settle(stream)
    assert at.gateway.model.rows[0].extension == "101"


def test_a_call_that_time_would_decide_and_may_not_is_not_looked_at_in_a_tight_loop() -> None:
    """Its end is not joined, hiding its card failed and is to be tried later, and meanwhile its time to be settled comes."""

    async def run() -> None:
        away = Unavailable("HTTP 503", ambiguous=False, retry_after_ms=20_000)
        at = ReactorRig(MemoryEventStore(), Gateway(), joined_until=0)
        at.clicks = False
        signals = [event for _, event in heard(ANSWERED)]
        await at.settle(await at.hear("A", *signals[:2]))
        at.joined_until = await at.store.head()
        at.gateway.before = lambda effect, nth: away
        async with polling(at.reactor):
            await at.hear("A", signals[-1])
            for _ in range(200):
                at.now_ms += 100
                await asyncio.sleep(0.1)  # of virtual time
        assert at.gateway.turns[-1].urgency is Urgency.LIVE
        assert at.looks < 100, "some looks for each second"

    virtually(run())


async def test_an_end_that_is_complete_is_recorded_together_with_the_start_of_its_request() -> None:
    at = reactor_rig()
    signals = [event for _, event in heard(ANSWERED)]
    stream = await at.hear("A", *signals[:2])
    await at.settle(stream)
    await at.hear("A", *signals[2:-1])
    await at.settle(stream)
    commits = list[list[str]]()
    at.store.tail.listen(lambda events: commits.append([each.type for each in events]))
    await at.hear("A", signals[-1])
    await at.settle(stream)
    assert commits[:2] == [["hangup_observed"], ["call_settled", "effect_started"]]
    assert at.reactor.counters.calls == 1


async def test_a_signal_is_attended_to_when_it_is_recorded() -> None:
    """In the service nobody has to say so: the reactor hears of its own process's commits."""
    at = reactor_rig()
    async with polling(at.reactor):
        await at.hear("A", *(event for _, event in heard(ANSWERED)[:2]))
        await until(lambda: bool(at.gateway.model.rows))
        await at.reactor.idle()
        asked = len(at.gateway.turns)
        at.reactor.joined(StreamId(enterprise="0367", name="call/A"))
        assert at.reactor.attending == 0, "it was attended to already"
        assert len(at.gateway.turns) == asked


async def test_what_the_switchboard_brings_holds_nothing_back() -> None:
    at = ReactorRig(MemoryEventStore(), Gateway(), joined_until=0)
    signals = [event for _, event in heard(ANSWERED)]
    stream = await at.hear("A", *signals[:2])
    at.joined_until = await at.store.head()
    await at.hear("A", *signals[2:4])
    await at.settle(stream)
    assert at.gateway.model.rows[0].screens() == {"101": "timing"}


async def test_a_call_at_rest_is_not_kept_in_memory() -> None:
    at = reactor_rig()
    signals = heard(ANSWERED)
    await at.settle(await at.hear("A", *(event for _, event in signals[:4])))
    assert at.reactor._attendant.remembered == 1
    await at.settle(await at.hear("A", *(event for _, event in signals[4:])))
    await at.let_pass(ms(200_000))
    assert at.reactor._attendant.remembered == 0


@pytest.mark.parametrize("failures", [1, 3, 12])
async def test_a_retry_waits_longer_each_time_and_keeps_its_numbers(failures: int) -> None:
    left = [failures]

    def trouble(effect: Effect, nth: int) -> Exception | None:
        if not isinstance(effect, RegisterCall) or not left[0]:
            return None
        left[0] -= 1
        return lost(ambiguous=False)

    at = reactor_rig(before=trouble)
    stream = await at.hear("A", *(event for _, event in heard(ANSWERED)[:2]))
    await at.settle(stream)
    await at.let_pass(ms(1_500_000))
    tries = [effect for effect in at.gateway.asked if isinstance(effect, RegisterCall)]
    assert len(tries) == failures + 1
    assert len({effect.external_id for effect in tries}) == 1
    failed = [event for event in await at.history(stream) if isinstance(event, EffectFailed)]
    waits = [event.retry_ms - event.at_ms for event in failed]
    assert waits == [int(BACKOFF_MS[min(n, len(BACKOFF_MS) - 1)] * 1.1) for n in range(failures)]
    if failures == 1:  # later than that the cards may have gone stale, and are asked for differently
        assert sequences(tries[:1]) == sequences(tries[1:])


async def test_what_the_server_asks_for_outweighs_the_back_off() -> None:
    at = reactor_rig(before=lambda effect, nth: Unavailable("429", ambiguous=False, retry_after_ms=7_000) if nth < 1 else None)
    stream = await at.hear("A", *(event for _, event in heard(ANSWERED)[:2]))
    await at.settle(stream)
    (failed,) = [event for event in await at.history(stream) if isinstance(event, EffectFailed)]
    assert failed.retry_ms - failed.at_ms == 7_000


async def test_a_refusal_is_recorded_and_the_same_request_never_repeated() -> None:
    refusal = Refused("no", code=3000, exchanges=(Exchange(status=412),))
    at = reactor_rig(before=lambda effect, nth: refusal if isinstance(effect, RegisterCall) else None)
    stream = await at.hear_and_attend("A", ANSWERED)
    await at.let_pass(ms(200_000))
    refused = [event for event in await at.history(stream) if isinstance(event, EffectRefused)]
    asked = [effect for effect in at.gateway.asked if isinstance(effect, RegisterCall)]
    assert len(refused) == len(asked)
    assert {(event.error, event.code) for event in refused} == {("no", 3000)}
    assert not asked[-1].cards, "the bare record is tried when the one with cards is refused"
    # Both cards with uuids, both by extension, each alone, none.
    assert len({repr(effect) for effect in asked}) == len(asked) == 5
    assert at.gateway.model.rows == []
    assert await at.store.next_due_ms() is None


@pytest.mark.parametrize("acted", [True, False], ids=["after MoySklad acted", "before MoySklad acted"])
@pytest.mark.parametrize("nth", range(5))
async def test_stopped_between_start_and_outcome_ends_the_same(nth: int, acted: bool) -> None:
    """The n-th request never comes back because the process is gone; a new one finds the start without an outcome."""
    never = asyncio.Event()
    stopped: list[int] = []
    at = reactor_rig()

    class Dies(Gateway):
        async def perform(self, effect: Effect) -> Performed:
            if len(self.asked) == nth and not stopped:
                stopped.append(nth)
                self.asked.append(effect)
                if acted:
                    self.model.perform(effect)
                await never.wait()
            return await Gateway.perform(self, effect)

    at.gateway = Dies(model=at.gateway.model)
    at.another()
    stream = StreamId(enterprise="0367", name="call/A")
    for _, event in heard(ANSWERED):
        await at.hear("A", event)
        at.reactor.wake(stream)
        await until(lambda: (bool(stopped) and at.reactor.attending > 0) or not at.reactor.attending)
        if at.reactor.attending:
            dead = list(at.reactor._running.values())
            for task in dead:
                task.cancel()
            await asyncio.gather(*dead, return_exceptions=True)
            at.another()
            await at.settle(stream)
    assert stopped
    await at.let_pass(ms(200_000))
    (row,) = at.gateway.model.rows
    assert (row.extension, row.screens(), row.end_ms) == ("101", {}, ms(35))
    first_seen = list({event.sequence: event for event in reversed(row.events)}.values())[::-1]
    assert all(event in first_seen for event in row.events), "a repeat says the same under the same number"
    fresh = list(dict.fromkeys(event.sequence for event in row.events))
    assert fresh == sorted(fresh)


async def test_an_outcome_is_recorded_although_something_was_heard_meanwhile() -> None:
    gate = asyncio.Event()
    at = reactor_rig(holds=lambda effect: gate if isinstance(effect, RegisterCall) else None)
    events = [event for _, event in heard(ANSWERED)]
    stream = await at.hear("A", *events[:2])
    at.reactor.wake(stream)
    await until(lambda: at.gateway.underway == 1 and isinstance(at.gateway.asked[-1], RegisterCall))
    await at.hear("A", *events[2:4])
    at.reactor.wake(stream)  # while it runs: attended to again afterwards
    gate.set()
    await at.reactor.idle()
    history = await at.history(stream)
    (registered,) = [event for event in history if isinstance(event, EffectDone) and event.effect["type"] == RegisterCall.type]
    assert history.index(registered) > max(n for n, event in enumerate(history) if isinstance(event, BridgeEntered))
    (row,) = at.gateway.model.rows
    assert row.screens() == {"101": "timing"}, "what was heard meanwhile was acted upon"


async def test_a_poisoned_call_stops_nobody_else() -> None:
    at = reactor_rig()
    poisoned = StreamId(enterprise="0367", name="call/poisoned")
    unreadable = NewEvent(id=uuid4(), type="from_the_future", schema=9, data={})
    await at.store.append(Append(stream=poisoned, events=(unreadable,), due_ms=at.now_ms))
    stream = await at.hear("A", *(event for _, event in heard(ANSWERED)[:2]))
    async with polling(at.reactor):
        await until(lambda: len(at.gateway.model.rows) == 1 and stream not in at.reactor._running)
        assert poisoned in at.reactor._paused, "left alone for a while"


async def test_a_poisoned_call_is_not_tried_in_a_tight_loop() -> None:
    at = reactor_rig()
    poisoned = StreamId(enterprise="0367", name="call/poisoned")
    unreadable = NewEvent(id=uuid4(), type="from_the_future", schema=9, data={})
    await at.store.append(Append(stream=poisoned, events=(unreadable,), due_ms=at.now_ms))
    at.another()  # which has to read it
    reads = 0
    read = at.store.read

    async def counting(stream: StreamId, after_version: int = 0) -> list[RecordedEvent]:
        nonlocal reads
        reads += 1
        return await read(stream, after_version)

    at.store.read = counting  # type: ignore[method-assign]
    for _ in range(50):
        at.reactor.wake(poisoned)
        await asyncio.sleep(0)
    await until(lambda: reads >= 1)
    for _ in range(50):
        at.reactor.wake(poisoned)
        await asyncio.sleep(0)
    assert reads == 1


class AwayStore(MemoryEventStore):
    """A store that can be away."""

    away = False

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("the database is away")

    async def append(self, append: Append) -> Appended:
        self._check()
        return await MemoryEventStore.append(self, append)

    async def read(self, stream: StreamId, after_version: int = 0) -> list[RecordedEvent]:
        self._check()
        return await MemoryEventStore.read(self, stream, after_version)

    async def due(
        self,
        now_ms: int,
        per_enterprise: int,
        enterprises: Collection[str] | None = None,
        *,
        backlog: int | None = None,
        sated: Collection[str] = (),
    ) -> list[Due]:
        self._check()
        return await MemoryEventStore.due(self, now_ms, per_enterprise, enterprises, backlog=backlog, sated=sated)


async def test_a_store_that_is_away_is_waited_for() -> None:
    store = AwayStore()
    at = reactor_rig(store)
    stream = await at.hear("A", *(event for _, event in heard(ANSWERED)[:2]))
    store.away = True
    async with polling(at.reactor):
        await at.settle(stream)
        assert at.gateway.writes() == [], "nothing that could not be recorded as started"
        store.away = False
        await until(lambda: len(at.gateway.model.rows) == 1)


async def test_a_store_that_goes_away_under_a_request_leaves_a_question_not_a_double() -> None:
    """MoySklad acted, the outcome could not be recorded: the next attempt asks before it registers anything again."""
    store = AwayStore()
    at = reactor_rig(store)

    def leaves(effect: Effect, nth: int) -> None:
        if isinstance(effect, RegisterCall):
            store.away = True

    at.gateway.after = leaves
    stream = await at.hear("A", *(event for _, event in heard(ANSWERED)[:2]))
    await at.settle(stream)
    assert len(at.gateway.model.rows) == 1
    at.gateway.after = lambda effect, nth: None
    store.away = False
    await at.settle(stream)
    await at.let_pass(ms(10))
    await at.hear("A", *(event for _, event in heard(ANSWERED)[2:]))
    await at.settle(stream)
    await at.let_pass(ms(200_000))
    assert len(at.gateway.model.rows) == 1
    assert at.gateway.model.rows[0].screens() == {}
    assert at.gateway.model.rows[0].extension == "101"


async def test_what_an_earlier_process_left_due_is_taken_up() -> None:
    at = reactor_rig()
    for n in range(20):
        await at.hear(f"call-{n}", ArrivalObserved(heard_ms=ms(0), channel=f"call-{n}", number="+375290000001", trunk="t"))
        await at.hear(
            f"call-{n}",
            DialObserved(
                heard_ms=ms(0.2), channel=f"call-{n}", direction=Direction.INCOMING, number="+375290000001", extensions=("101",)
            ),
        )
    async with polling(at.another()):
        await until(lambda: len(at.gateway.model.rows) == 20)


def test_what_one_company_left_due_does_not_wait_for_a_look_for_every_sixty_four_calls() -> None:
    calls = 5 * DUE_OF_EACH

    async def run() -> None:
        at = reactor_rig()
        for n in range(calls):
            dial = DialObserved(
                heard_ms=ms(0.2), channel=f"call-{n}", direction=Direction.INCOMING, number="+375290000001", extensions=("101",)
            )
            await at.hear(f"call-{n}", dial)
        began_s = now_s()
        async with polling(at.another()):
            await until(lambda: len(at.gateway.model.rows) == calls)
        assert now_s() - began_s < 2 * POLL_S, "of virtual time; a look for every sixty-four takes four"

    virtually(run())


async def test_waking_while_it_runs_attends_once_more_not_twice_at_once() -> None:
    gate = asyncio.Event()
    at = reactor_rig(holds=lambda effect: gate)
    stream = await at.hear("A", *(event for _, event in heard(ANSWERED)[:2]))
    for _ in range(100):
        at.reactor.wake(stream)
    await until(lambda: at.gateway.underway == 1)
    assert at.reactor.attending == 1
    gate.set()
    await at.reactor.idle()
    assert at.gateway.most_underway == 1
    assert len(at.gateway.model.rows) == 1


async def test_stopping_the_reactor_stops_every_call_it_attends_to() -> None:
    at = reactor_rig(holds=lambda effect: asyncio.Event())
    for n in range(5):
        await at.hear(f"call-{n}", *(event for _, event in heard(ANSWERED)[:2]))
    async with polling(at.reactor):
        await until(lambda: at.gateway.underway == 5)
    assert at.reactor.attending == 0
    assert at.gateway.underway == 0


def test_every_wait_of_the_back_off_is_longer_than_the_one_before() -> None:
    assert list(BACKOFF_MS) == sorted(set(BACKOFF_MS))
