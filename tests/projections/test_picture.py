"""A call as a picture: lanes that a person can read off who rang, who talked, which card stood where."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest

from core.effects import RegisterCall
from core.events import EffectDone, Event, Exchange
from projections.picture import Bar, Picture
from tests.playback import NAMES, TRUTH
from tests.scenario import NUMBER, events, given, ms
from tests.settings import SETTINGS
from tests.told import calls_of, lived, told

RING = "0 A start\n0.5 A dial 101 102\n"
ANSWERED = RING + (
    "5 A enter b1 customer\n5 A enter b1 101\n35 A leave b1 101\n35 A leave b1 customer\n35 A close b1\n"
    "35.4 A hangup 101 answered\n"
)
HANDED_ON = RING + (
    "5 A enter b1 customer\n5 A enter b1 101\n20 A leave b1 101\n20 A leave b1 customer\n20 A close b1\n"
    "20.5 A dial 103\n26 A enter b2 customer\n26 A enter b2 103\n40 A leave b2 103\n40 A leave b2 customer\n40 A close b2\n"
    "40.2 A hangup 103 answered\n"
)

Stretch = tuple[float, float | None, str]


def picture(history: Sequence[Event]) -> Picture:
    return told(history)[1]


def stretches(bars: Sequence[Bar]) -> list[Stretch]:
    """Bars in seconds of the scenario."""
    return [((bar.from_ms - ms(0)) / 1000, None if bar.to_ms is None else (bar.to_ms - ms(0)) / 1000, bar.state) for bar in bars]


def phones(found: Picture) -> dict[str, list[Stretch]]:
    return {lane.who: stretches(lane.bars) for lane in found.phones}


def test_two_phones_ring_until_one_is_answered() -> None:
    found = picture(events(ANSWERED))
    assert phones(found) == {"101": [(0.5, 5, "ringing"), (5, 35, "talking")], "102": [(0.5, 5, "ringing")]}
    assert stretches(found.customer.bars) == [(0, 5, "waiting"), (5, 35, "talking")]
    assert not found.live


def test_a_call_that_is_handed_on_shows_the_customer_waiting_in_between() -> None:
    found = picture(events(HANDED_ON))
    assert stretches(found.customer.bars) == [(0, 5, "waiting"), (5, 20, "talking"), (20, 26, "hold"), (26, 40, "talking")]
    assert phones(found)["103"] == [(20.5, 26, "ringing"), (26, 40, "talking")]
    assert phones(found)["102"] == [(0.5, 5, "ringing")], "the later step does not ring it again"


def test_a_phone_that_the_next_step_rings_as_well_rings_on() -> None:
    found = picture(events("0 A start\n1 A dial 101\n11 A dial 101 102\n21 A dial 103\n30 A hangup -\n"))
    assert phones(found) == {"101": [(1, 21, "ringing")], "102": [(11, 21, "ringing")], "103": [(21, 30, "ringing")]}


def test_a_phone_that_stopped_by_itself_is_quiet_from_then_on() -> None:
    found = picture(events("0 A start\n1 A dial 101 102\n4 A stopped 101 busy\n20 A stopped 102 unanswered\n21 A hangup -\n"))
    assert phones(found) == {"101": [(1, 4, "ringing")], "102": [(1, 20, "ringing")]}


def test_what_goes_on_has_no_end() -> None:
    found = picture(events(RING + "5 A enter b1 customer\n5 A enter b1 101\n"))
    assert found.live
    assert phones(found)["101"] == [(0.5, 5, "ringing"), (5, None, "talking")]
    assert stretches(found.customer.bars)[-1] == (5, None, "talking")
    assert stretches(found.phases)[-1] == (5, None, "talking")


def test_an_answer_of_which_only_the_hangup_tells_is_drawn_as_unsure() -> None:
    found = picture(events("0 A dial 101\n35 A hangup 101 answered\n"))
    assert phones(found) == {"101": [(0, 35, "unsure")]}
    assert stretches(found.customer.bars) == [(0, 35, "unsure")]


def test_an_outgoing_call_rings_for_the_one_who_calls() -> None:
    table = "0 A dial out 101\n6 A enter b1 101\n6 A enter b1 customer\n16 A leave b1 101\n16 A leave b1 customer\n"
    found = picture(events(table + "16 A close b1\n16.2 A hangup out 101 answered\n"))
    assert phones(found) == {"101": [(0, 6, "ringing"), (6, 16, "talking")]}


def test_a_missed_call_rings_to_its_end() -> None:
    found = picture(events(RING + "20 A hangup - end=20\n"))
    assert phones(found) == {"101": [(0.5, 20, "ringing")], "102": [(0.5, 20, "ringing")]}
    assert stretches(found.customer.bars) == [(0, 20, "waiting")]


def test_cards_stand_from_moysklad_s_answer_until_the_next() -> None:
    history = given(ANSWERED, contacts={NUMBER: "ann"}).finished().world.streams["call/A"]
    lanes = {lane.who: [bar.state for bar in lane.bars] for lane in picture(history).cards}
    assert lanes == {"101": ["shown", "timing"], "102": ["shown"]}
    assert all(bar.to_ms is not None for lane in picture(history).cards for bar in lane.bars)


def test_requests_end_when_their_answer_was_recorded_and_name_their_step() -> None:
    register = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0))
    done = EffectDone(
        key="k",
        at_ms=ms(2),
        effect={"type": "register_call", "external_id": register.external_id},
        exchanges=(
            Exchange(method="GET", path="/a", status=200, duration_ms=300),
            Exchange(method="POST", path="/b", status=None, duration_ms=500),
        ),
    )
    found = picture((*events(RING), done))
    assert [(each.path, each.from_ms - ms(0), each.to_ms - ms(0), each.status) for each in found.requests] == [
        ("/a", 1200, 1500, 200),
        ("/b", 1500, 2000, None),
    ]
    assert {(each.version, each.index) for each in found.requests} == {(3, 0), (3, 1)}


def test_names_come_from_the_settings_and_from_what_moysklad_said() -> None:
    employees = {"170": {"id": "x", "name": "Пётр"}, "171": None}
    asked = EffectDone(key="k", at_ms=ms(1), effect={"type": "find_employees"}, result={"employees": employees})
    found = picture((*events(RING), asked))
    assert found.names["170"] == "Пётр"
    assert found.names["101"] == dict(SETTINGS.employees)["101"].name
    assert {lane.who: lane.name for lane in found.phones}["101"] == found.names["101"]


def test_the_phases_follow_each_other_without_gaps() -> None:
    bars = picture(given(HANDED_ON).finished().world.streams["call/A"]).phases
    assert [bar.state for bar in bars] == [
        "arrived", "ringing", "talking", "on_hold", "transferring", "talking", "on_hold", "ending", "settled",
    ]  # fmt: skip
    assert all(one.to_ms == next_.from_ms for one, next_ in pairwise(bars))


def test_nothing_heard_is_an_empty_picture() -> None:
    found = picture(())
    assert (found.phones, found.cards, found.requests, found.customer.bars) == ((), (), (), ())


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_of_every_recording_agrees_with_what_happened(name: str) -> None:
    world = lived(name)
    truth = {call["call"]: call for call in TRUTH.get(name, [])}
    for call in calls_of(world):
        found = picture_of(world.streams[f"call/{call}"], call)
        bars = [bar for lane in (found.customer, *found.phones, *found.cards) for bar in lane.bars]
        assert all(bar.to_ms is None or bar.from_ms <= bar.to_ms for bar in bars)
        assert all(found.from_ms <= bar.from_ms for bar in bars)
        assert all(bar.to_ms is not None for lane in found.cards for bar in lane.bars), "no card stands open"
        for lane in (found.customer, *found.phones, *found.cards):
            order = sorted(lane.bars, key=lambda bar: bar.from_ms)
            assert all((one.to_ms or 0) <= two.from_ms for one, two in pairwise(order)), lane
        if call in truth and truth[call]["direction"] != "internal":
            talked = {lane.who for lane in found.phones if any(bar.state == "talking" for bar in lane.bars)}
            assert talked == set(truth[call]["talked"])
            assert {lane.who for lane in found.phones} <= {*truth[call]["rang"], *truth[call]["talked"]}


def picture_of(history: Sequence[Event], call: str) -> Picture:
    return told(history, call)[1]
