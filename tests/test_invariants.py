"""What must hold for every call history, whatever goes wrong: the named invariants of this project."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.call import Call, evolve, initial
from core.decisions import Limits
from core.events import AnyObservation, DialObserved, Event, RetryRequested
from core.remote import card_events
from tests.moysklad_model import MoySkladModel, Repeated
from tests.settings import SETTINGS
from tests.strategies import History, calls, disordered, faults, histories
from tests.world import Fault, World, hear_all

TOLERANCE_MS = 1_000


def played(history: History, **options: object) -> World:
    world = hear_all(World(settings=SETTINGS, **options), history.heard)  # type: ignore[arg-type]
    world.finish()
    return world


def record(world: World) -> dict[str, tuple[object, ...]]:
    """What MoySklad has of each call, without times (they may differ by the disorder of the delivery)."""
    return {
        row.external_id: (row.number, row.incoming, row.extension, row.comment, tuple(row.recordings))
        for row in world.moysklad.rows
    }


@given(histories())
def test_one_call_is_registered_for_each_customer_call_and_none_for_others(history: History) -> None:
    world = played(history)
    assert sorted(row.external_id for row in world.moysklad.rows) == sorted(f"0367-{truth.call}" for truth in history.truth)


@given(histories())
def test_the_record_says_what_happened(history: History) -> None:
    world = played(history)
    rows = {row.external_id: row for row in world.moysklad.rows}
    for truth in history.truth:
        row = rows[f"0367-{truth.call}"]
        assert row.number == truth.number
        assert row.incoming == (truth.direction == "in")
        assert abs(row.start_ms - truth.start_ms) <= TOLERANCE_MS
        assert row.end_ms is not None
        assert abs(row.end_ms - truth.end_ms) <= TOLERANCE_MS
        if truth.talked:
            assert row.extension == truth.talked[-1]


@given(histories(), st.sampled_from(list(Repeated)), faults())
def test_no_card_stays_open_after_the_end(history: History, repeated: Repeated, faulty: dict[int, Fault]) -> None:
    world = played(history, moysklad=MoySkladModel(repeated=repeated), faults=faulty)
    assert all(row.screens() == {} for row in world.moysklad.rows)
    assert all(call.remote.open_cards == () for call in world.calls.values())


@given(histories())
def test_cards_appear_only_on_those_who_rang_or_talked(history: History) -> None:
    world = played(history)
    allowed = {f"0367-{truth.call}": {*truth.rang, *truth.talked} for truth in history.truth}
    for row in world.moysklad.rows:
        assert {event.extension for event in row.events if event.extension} <= allowed[row.external_id]


@given(histories().flatmap(lambda history: st.tuples(st.just(history), disordered(history))))
def test_duplicates_and_reordering_change_nothing_at_the_end(both: tuple[History, tuple[object, ...]]) -> None:
    history, delivered = both
    straight = played(history)
    other = played(History(heard=delivered, truth=history.truth))  # type: ignore[arg-type]
    assert record(other) == record(straight)
    assert all(row.screens() == {} for row in other.moysklad.rows)


@given(histories(), faults())
def test_planning_after_everything_is_done_plans_nothing(history: History, faulty: dict[int, Fault]) -> None:
    world = played(history, faults=faulty)
    assert [world.planned(call).step for call in world.calls] == [None] * len(world.calls)


@given(histories(), st.sampled_from(list(Repeated)), faults())
def test_sequence_numbers_increase_and_a_retry_keeps_its_own(
    history: History, repeated: Repeated, faulty: dict[int, Fault]
) -> None:
    world = played(history, moysklad=MoySkladModel(repeated=repeated), faults=faulty)
    for row in world.moysklad.rows:
        sent: dict[int, object] = {}
        highest = 0
        for event in row.events:
            assert sent.setdefault(event.sequence, event) == event
            assert event.sequence == highest or event.sequence > highest or event in sent.values()
            highest = max(highest, event.sequence)
        fresh = [event.sequence for index, event in enumerate(row.events) if event not in row.events[:index]]
        assert fresh == sorted(fresh)


@given(histories(), faults(), st.frozensets(st.integers(0, 12)))
def test_what_is_put_off_is_done_in_the_end(history: History, faulty: dict[int, Fault], put_off: frozenset[int]) -> None:
    straight = played(history, faults=faulty)
    other = played(history, faults=faulty, deferrals=put_off)
    assert record(other) == record(straight)
    assert all(row.screens() == {} for row in other.moysklad.rows)


@given(histories(), st.sampled_from(list(Repeated)), faults(), st.data())
def test_what_a_revoked_key_left_undone_is_done_after_a_retry(
    history: History, repeated: Repeated, faulty: dict[int, Fault], data: st.DataObject
) -> None:
    straight = played(history)
    world = World(settings=SETTINGS, moysklad=MoySkladModel(repeated=repeated), faults=faulty)
    begin = data.draw(st.integers(0, len(history.heard)))
    end = data.draw(st.integers(begin, len(history.heard)))
    hear_all(world, history.heard[:begin])
    world.revoked = True
    hear_all(world, history.heard[begin:end])
    if end == len(history.heard):  # until long after the calls, or only for a part of them
        world.finish(data.draw(st.integers(0, 200_000_000)))
    world.revoked = False
    retried = [call for call in world.calls if world.retry(call)]
    assert not any(world.planned(call).parked for call in world.calls)
    hear_all(world, history.heard[end:])
    world.finish()
    assert record(world) == record(straight), retried
    assert not any(world.planned(call).parked for call in world.calls)
    assert all(row.screens() == {} for row in world.moysklad.rows)
    assert world.refold() == world.calls


@given(histories(), faults())
def test_rebuilt_equals_live(history: History, faulty: dict[int, Fault]) -> None:
    world = played(history, faults=faulty)
    assert world.refold() == world.calls


@given(histories(), st.sampled_from(list(Repeated)), faults())
def test_a_crash_or_a_lost_answer_anywhere_ends_the_same(history: History, repeated: Repeated, faulty: dict[int, Fault]) -> None:
    straight = played(history)
    other = played(history, moysklad=MoySkladModel(repeated=repeated), faults=faulty)
    assert record(other) == record(straight)
    assert len(other.moysklad.rows) == len(straight.moysklad.rows)


@given(calls())
@settings(max_examples=30)
def test_without_a_hangup_cards_are_hidden_at_the_maximum_and_the_call_is_recorded_after_the_grace(history: History) -> None:
    heard = tuple(each for each in history.heard if each[1].type != "hangup_observed")
    limits = Limits(call_max_ms=60_000)
    world = hear_all(World(settings=SETTINGS, limits=limits), heard)
    world.advance(heard[0][1].heard_ms + 61_000 + 60_000)
    assert all(row.screens() == {} and row.end_ms is None for row in world.moysklad.rows)
    world.finish()
    assert len(world.moysklad.rows) == len(history.truth)
    assert all(row.end_ms is not None for row in world.moysklad.rows)


@given(st.lists(histories().map(lambda history: history.heard), min_size=1, max_size=2), st.randoms(use_true_random=False))
def test_evolve_is_total(parts: list[tuple[tuple[str, Event], ...]], random: object) -> None:
    events = [event for part in parts for _, event in part]
    for part in parts:
        world = World(settings=SETTINGS, faults={1: Fault.LOST_AFTER}, deferrals=(2, 5))
        hear_all(world, part)  # type: ignore[arg-type]
        world.finish()
        events += [event for stream in world.streams.values() for event in stream if not isinstance(event, AnyObservation)]
    events.append(RetryRequested(at_ms=1, by="anna"))
    random.shuffle(events)  # type: ignore[attr-defined]
    state: Call = initial("0367", "1795437000.1000")
    for event in events:
        state = evolve(state, event)
    assert state.version == len(events)


@given(histories())
def test_an_answered_incoming_call_costs_at_most_three_requests_for_one_ring_step(history: History) -> None:
    world = played(history)
    for truth in history.truth:
        steps = [event for _, event in history.heard if isinstance(event, DialObserved) and event.channel == truth.call]
        if truth.direction == "in" and len(truth.talked) == 1 and len(steps) == 1:
            asked = [effect for effect in world.moysklad.requests if getattr(effect, "external_id", "") == f"0367-{truth.call}"]
            assert len(asked) <= 3, [card_events(effect) for effect in asked]


@pytest.mark.parametrize("fault", list(Fault))
def test_every_fault_is_really_injected(fault: Fault) -> None:
    """The faults are no empty words: each leaves its mark in the stream or the request list."""
    from core.values import Direction
    from tests.strategies import EPOCH_MS, Wire

    wire = Wire(call="1.1", number="+375290000001", direction=Direction.INCOMING, at_ms=EPOCH_MS)
    wire.arrive()
    wire.dial(("101",))
    world = hear_all(World(settings=SETTINGS, faults={0: fault}), wire.heard)
    kinds = [event.type for event in world.streams["call/1.1"]]
    assert kinds.count("effect_started") >= 1
    assert ("effect_failed" in kinds) == (fault in (Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.NOT_SENT))


