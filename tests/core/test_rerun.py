"""A call run again comes to the record where nothing is different, whatever went wrong in it, and says what would be otherwise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import settings as how
from hypothesis import strategies as st

from core import rerun as machine
from core.decisions import Limits
from core.difference import compare, facts
from core.events import (
    CallSettled,
    EffectDone,
    EffectFailed,
    EffectStarted,
    Event,
    Observation,
    encode,
)
from core.rerun import PATIENT_MS, QUICK_MS, Rerun, rerun, time_of
from core.settings import Settings, parse_settings
from tests.moysklad_model import MoySkladModel
from tests.scenario import Scenario, given, ms
from tests.settings import EXTENSIONS, MS_CONFIG, SETTINGS, employee_id, settings_with
from tests.strategies import History, faults, histories
from tests.world import ENTERPRISE, Fault, World, hear_all

RING = "0 A start\n0.5 A dial 101 102\n"
TALK = (
    RING + "5 A enter b1 customer\n5 A enter b1 101\n35 A leave b1 101\n35 A leave b1 customer\n"
    "35.4 A hangup 101 answered end=35\n"
)
UNMAPPED = settings_with(mapped=("101",))
FULL = settings_with(order="always", task="on_missed", unrecognized="101")


def again(world: World, call: str = "A", *, settings: Settings | None = None, until_ms: int | None = None) -> Rerun:
    return rerun(
        world.streams[f"call/{call}"],
        enterprise=ENTERPRISE,
        call=call,
        settings=settings or world.settings,
        limits=world.limits,
        until_ms=world.now_ms if until_ms is None else until_ms,
    )


def plain(events: Sequence[Event]) -> list[Any]:
    """Events as they are stored; of answers only what was answered."""
    found = []
    for event in events:
        type_, _, data = encode(event)
        found.append([type_, {name: value for name, value in data.items() if name not in ("exchanges", "wire", "raw")}])
    return list(json.loads(json.dumps(found)))


def asked(run: Rerun) -> list[str]:
    return [str(event.effect["type"]) for event in run.events if isinstance(event, EffectStarted)]


@pytest.mark.parametrize("fault", [None, *Fault])
@pytest.mark.parametrize("nth", range(3))
def test_under_the_same_settings_the_record_comes_out_event_by_event(fault: Fault | None, nth: int) -> None:
    world = given(TALK, faults={nth: fault} if fault is not None else {}).finished().world
    run = again(world)
    assert plain(run.events) == plain(world.streams["call/A"])
    assert (run.parted, run.stuck, run.assumed) == ("", False, ())


@for_all(histories(), faults(), st.sampled_from([UNMAPPED, FULL]))
@how(max_examples=120, deadline=None)
def test_whatever_happened_nothing_would_be_otherwise(history: History, broken: dict[int, Fault], settings: Settings) -> None:
    model = MoySkladModel(employees={extension: employee_id(extension) for extension in EXTENSIONS})
    world = hear_all(World(settings=settings, moysklad=model, faults=broken), history.heard)
    world.finish()
    for stream, events in world.streams.items():
        if stream.startswith("call/"):
            call = stream.removeprefix("call/")
            run = again(world, call)
            assert plain(run.events) == plain(events)


OTHERS = (settings_with(notify="none"), settings_with(enabled=False), UNMAPPED, FULL)


@for_all(histories(max_calls=2), faults(), st.sampled_from(OTHERS))
@how(max_examples=60, deadline=None)
def test_under_any_settings_it_rests_and_leaves_no_card(history: History, broken: dict[int, Fault], other: Settings) -> None:
    world = hear_all(World(settings=SETTINGS, faults=broken), history.heard)
    world.finish()
    for stream in [name for name in world.streams if name.startswith("call/")]:
        run = again(world, stream.removeprefix("call/"), settings=other)
        assert not run.stuck
        assert [event for event in run.events if isinstance(event, Observation)] == [
            event for event in world.streams[stream] if isinstance(event, Observation)
        ]
        assert not run.call.remote.open_cards or run.call.is_live


def test_a_card_that_the_settings_now_show_appears_as_soon_as_it_would() -> None:
    world = given(TALK, settings=settings_with(notify="none")).finished().world
    run = again(world, settings=SETTINGS)
    shown = next(event for event in run.events if isinstance(event, EffectStarted) and event.effect.get("cards"))
    # The contact comes first, a moment of ours each: look-up and client were not asked for until the end.
    assert ms(0.5) <= shown.at_ms <= ms(0.5) + 3 * QUICK_MS
    assert [card["extension"] for card in shown.effect["cards"]] == ["101", "102"]


def test_the_record_s_moments_are_taken_and_its_answers_are_adapted() -> None:
    """Another mapping: the same registration, at the recorded moment, with the recorded id, on another screen."""
    world = given(TALK).finished().world
    before = {event.key: event.at_ms for event in world.streams["call/A"] if isinstance(event, EffectStarted)}
    mapping = {**MS_CONFIG["employee_mapping"], "102": "somebody-else"}
    run = again(world, settings=parse_settings({**MS_CONFIG, "employee_mapping": mapping}))
    register = next(event for event in run.events if isinstance(event, EffectStarted) and event.effect["type"] == "register_call")
    assert register.at_ms == before["register_call-2"]
    assert [card["employee"] for card in register.effect["cards"]] == [employee_id("101"), "somebody-else"]
    done = next(event for event in run.events if isinstance(event, EffectDone) and event.effect["type"] == "register_call")
    assert done.result["call"] == world.moysklad.rows[0].id
    assert run.assumed == ()


def test_what_the_record_does_not_say_is_assumed_and_said() -> None:
    run = again(given(TALK).finished().world, settings=settings_with(mapped=("101",)))
    cards = [card for event in run.events if isinstance(event, EffectStarted) for card in event.effect.get("cards", ())]
    assert {card["extension"] for card in cards} == {"101", ""}
    assert run.assumed == ("the record does not say who has 102: taken as nobody",)


def test_while_moysklad_was_away_nothing_of_the_run_s_own_gets_through() -> None:
    broken = dict.fromkeys(range(40), Fault.NOT_SENT)
    world = given(TALK, settings=settings_with(mapped=("101",)), faults=broken).at(34).world
    run = again(world, settings=SETTINGS)
    assert not any(isinstance(event, EffectDone) and event.effect["type"] == "register_call" for event in run.events)


def test_what_the_record_does_later_of_the_same_kind_is_the_same_thing() -> None:
    """The record's service was slow: the run waits for it as long as it may, and no longer."""
    for late_ms, waits in ((PATIENT_MS - 100, True), (PATIENT_MS + 5_000, False)):
        world = given(RING, settings=settings_with(main_api=False)).world
        observed = [event for event in world.streams["call/A"] if isinstance(event, Observation)]
        own = [event for event in world.streams["call/A"] if not isinstance(event, Observation)]
        slow = [*observed, *(replace(event, at_ms=time_of(event) + late_ms) for event in own)]
        run = rerun(
            slow, enterprise=ENTERPRISE, call="A", settings=world.settings, limits=Limits(), until_ms=ms(20)
        )
        assert (plain(run.events) == plain(slow)) is waits
        assert bool(run.parted) is not waits


def test_a_burst_of_signals_is_not_acted_on_in_between() -> None:
    """Somebody answers and is gone again within milliseconds: nobody's card moves for that."""
    world = given(RING + "5 A enter b1 customer\n5 A enter b1 101\n5.05 A leave b1 101\n5.05 A enter b1 102\n").at(20).world
    events = [event for event in world.streams["call/A"] if time_of(event) < ms(5) or isinstance(event, Observation)]
    run = rerun(events, enterprise=ENTERPRISE, call="A", settings=SETTINGS, limits=Limits(), until_ms=ms(20))
    timed = [
        card["extension"]
        for event in run.events
        if isinstance(event, EffectStarted)
        for card in event.effect.get("cards", ())
        if card["action"] == "STARTTIME"
    ]
    assert timed == ["102"]


def test_time_decides_by_itself_where_the_record_was_not_there() -> None:
    world = given(RING + "20 A hangup - end=20\n").world
    run = again(world, until_ms=ms(60))
    assert any(isinstance(event, CallSettled) for event in run.events)
    assert asked(run)[-1] in ("register_call", "update_call")
    assert run.parted.startswith("the run decides call_settled")


def test_a_call_that_goes_on_is_run_until_it_was_looked_at() -> None:
    world = given(RING).at(10).world
    run = again(world)
    assert run.call.is_live
    assert plain(run.events) == plain(world.streams["call/A"])


def test_a_contact_that_was_never_answered_holds_no_record_up() -> None:
    """The JSON API was away as far as the record tells; under settings without cards the call is recorded all the same."""
    world = given(TALK).finished().world
    events: list[Event] = []
    for event in world.streams["call/A"]:
        if isinstance(event, EffectDone) and event.effect["type"] == "find_contact":
            lost = EffectFailed(
                key=event.key, at_ms=event.at_ms, effect=event.effect, error="away", ambiguous=False, retry_ms=event.at_ms + 500
            )
            events.append(lost)
        elif getattr(event, "effect", {}).get("type") != "create_contact":
            events.append(event)
    run = rerun(
        events, enterprise=ENTERPRISE, call="A", settings=settings_with(notify="none"), limits=Limits(), until_ms=ms(600)
    )
    assert run.call.remote.call is not None
    assert run.assumed == ("the record does not say that MoySklad's main API was back: taken as away",)


def test_a_run_that_never_rests_is_ended_and_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "MOST_STEPS", 2)
    world = given(TALK, settings=settings_with(enabled=False)).finished().world
    assert again(world, settings=SETTINGS).stuck


def test_the_same_question_gets_the_same_answer() -> None:
    def one() -> Any:
        world: Scenario = given(TALK, faults={1: Fault.LOST_AFTER}).finished()
        run = again(world.world, settings=UNMAPPED)
        return plain(run.events)

    assert one() == one()


def test_an_empty_history_stays_empty() -> None:
    run = rerun([], enterprise=ENTERPRISE, call="A", settings=SETTINGS, limits=Limits())
    assert (run.events, run.call.version, run.stuck) == ((), 0, False)
    assert compare(facts([], enterprise=ENTERPRISE, call="A", settings=SETTINGS), {}) == ()
