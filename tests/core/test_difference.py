"""Facts of a history, and what counts as a difference."""

from __future__ import annotations

from typing import Any

import pytest

from core.decisions import Limits
from core.difference import (
    CARD_SLACK_MS,
    FLICKER_MS,
    TIME_SLACK_MS,
    Change,
    Fact,
    Facts,
    compare,
    facts,
    is_same,
    reason_for,
    reasons,
)
from core.effects import FindContact
from core.events import EffectDone
from core.settings import Settings
from tests.scenario import given, ms, seconds
from tests.settings import SETTINGS, employee_id, settings_with
from tests.world import ENTERPRISE, Fault

TALK = (
    "0 A start\n0.5 A dial 101 102\n5 A enter b1 customer\n5 A enter b1 101\n35 A leave b1 101\n35 A leave b1 customer\n"
    "35.4 A hangup 101 answered end=35 rec=https://r/1\n"
)


def of(table: str, settings: Settings = SETTINGS, faults: dict[int, Fault] | None = None) -> Facts:
    events = given(table, settings=settings, faults=faults).finished().world.streams["call/A"]
    return facts(events, enterprise=ENTERPRISE, call="A", settings=settings)


def cards(*stood: tuple[str, float]) -> Fact:
    return Fact(value=[{"card": card, "at_ms": ms(at)} for card, at in stood])


def test_the_facts_of_an_answered_call() -> None:
    found = of(TALK)
    assert {about: fact.value for about, fact in found.items()} == {
        "outcome": "answered",
        "whose call": "101",
        "call": "recorded",
        "start": ms(0),
        "end": ms(35),
        "extension": "101",
        "employee": employee_id("101"),
        "recordings": ["https://r/1"],
        "contact": "contact-1",
        "client made": "+375290000001",
        "card 101": [
            {"card": "shown", "at_ms": ms(0.5)},
            {"card": "timing", "at_ms": ms(5)},
            {"card": "hidden", "at_ms": ms(35.4)},
        ],
        "card 102": [{"card": "shown", "at_ms": ms(0.5)}, {"card": "hidden", "at_ms": ms(5)}],
        "whose card 101": employee_id("101"),
        "whose card 102": employee_id("102"),
    }
    assert found["card 101"].because == "the card belongs on a screen: SHOW 101, SHOW 102"
    assert found["whose call"].because == "talked with the customer last"
    assert found["whose card 101"].because == "the settings say so"


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.NOT_SENT])
def test_how_many_requests_it_took_is_no_difference(fault: Fault) -> None:
    assert compare(of(TALK), of(TALK, faults={1: fault, 3: fault})) == ()


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        (cards(("shown", 1), ("hidden", 9)), cards(("shown", 1 + CARD_SLACK_MS / 1000), ("hidden", 9)), False),
        (cards(("shown", 1), ("hidden", 9)), cards(("shown", 1.1 + CARD_SLACK_MS / 1000), ("hidden", 9)), True),
        (cards(("shown", 1), ("hidden", 9)), cards(("shown", 1), ("timing", 4), ("hidden", 9)), True),
        (cards(("shown", 1)), cards(("shown", 1), ("hidden", 9)), True),
    ],
)
def test_when_a_card_stands_otherwise(one: Fact, other: Fact, differs: bool) -> None:
    changes = compare({"card 101": one}, {"card 101": other})
    assert bool(changes) is differs
    assert compare({"card 101": other}, {"card 101": one}) == () or differs


def test_what_nobody_saw_on_a_screen_is_left_out() -> None:
    brief = FLICKER_MS / 2_000
    talk = f"{0.5 + brief} A enter b1 customer\n{0.5 + brief} A enter b1 101\n30 A hangup 101 answered\n"
    quick = f"0 A start\n0.5 A dial 101\n{talk}"
    found = [(each["card"], seconds(each["at_ms"])) for each in of(quick)["card 101"].value]
    assert found == [("timing", 0.5), ("hidden", 30.0)]
    # A ringing as short as that was there all the same.
    short = "0 A start\n0.5 A dial 101\n0.8 A hangup - end=0.8\n"
    assert [each["card"] for each in of(short)["card 101"].value] == ["shown", "hidden"]


def test_seconds_of_the_record_are_compared_as_seconds() -> None:
    was = {"end": Fact(value=10_000)}
    assert compare(was, {"end": Fact(value=10_000 + TIME_SLACK_MS)}) == ()
    (change,) = compare(was, {"end": Fact(value=10_001 + TIME_SLACK_MS)})
    assert (change.about, change.was, change.would) == ("end", 10_000, 10_001 + TIME_SLACK_MS)


def test_what_follows_from_a_missing_call_or_card_is_not_told_beside_it() -> None:
    changes = compare(of(TALK), of(TALK, settings_with(enabled=False)))
    told = {change.about for change in changes}
    assert told == {"call", "extension", "contact", "client made", "card 101", "card 102"}


def test_an_employee_who_is_not_named_is_found_by_the_extension_all_the_same() -> None:
    named, quiet = of(TALK), of(TALK, settings_with(mapped=()))
    assert "employee" in named
    assert "employee" not in quiet
    assert "employee" not in {change.about for change in compare(named, quiet)}
    other = {**quiet, "extension": Fact(value="102")}
    assert "employee" in {change.about for change in compare(named, other)}


def test_changes_that_come_to_the_same() -> None:
    def change(**fields: Any) -> Change:
        return Change(**{"about": "card 101", "was": None, "would": cards(("shown", 1)).value, **fields})

    assert is_same(change(), change(would_because="another reason"))
    assert is_same(change(), change(would=cards(("shown", 2)).value))
    assert not is_same(change(), change(about="card 102"))
    assert not is_same(change(), change(would=None))
    assert not is_same(change(), change(would=cards(("hidden", 1)).value))


def test_the_reason_for_what_is_not_there_is_the_nearest_remark() -> None:
    settings = settings_with(notify_incoming=False)
    events = given(TALK, settings=settings).finished().world.streams["call/A"]
    remarks = reasons(events, enterprise=ENTERPRISE, call="A", settings=settings, limits=Limits())
    assert reason_for("card 101", remarks) == "the settings show no cards for incoming calls"
    assert reason_for("extension", {"attribution": "101: is the one who called"}) == "101: is the one who called"
    assert reason_for("order", {"order": "no"}) == "no"
    assert reason_for("order", {}) == ""
    for about in ("create order", "create task", "complete task"):
        of_it = about.partition(" ")[2]
        assert reason_for(about, {of_it: "no", "call": "off"}) == "no"
        assert reason_for(about, {"call": "off"}) == "off"


def remarked(table: str, settings: Settings = SETTINGS, **given_: Any) -> dict[str, str]:
    events = given(table, settings=settings, **given_).finished().world.streams["call/A"]
    return reasons(events, enterprise=ENTERPRISE, call="A", settings=settings, limits=Limits())


def test_why_it_was_not_recorded_yet_is_no_reason_for_anything_once_it_was() -> None:
    assert not {"call", "end"} & remarked(TALK).keys()
    assert remarked(TALK, settings_with(enabled=False))["call"] == "the integration is switched off"
    live = given("0 A start\n").world.streams["call/A"]
    found = reasons(live, enterprise=ENTERPRISE, call="A", settings=SETTINGS, limits=Limits())
    assert found["call"] == "no card is wanted now: it is registered with the first card, or complete at its end"


def test_why_there_was_no_client_when_the_call_was_registered_is_remarked() -> None:
    remarks = remarked(TALK, troubled={FindContact.type: (Fault.NOT_SENT,) * 2})
    assert reason_for("contact", remarks) == "the card did not wait longer for it"


def test_what_is_made_beside_the_call_is_a_fact_whatever_it_is() -> None:
    world = given(TALK).finished().world
    done = [event.effect["type"] for event in world.streams["call/A"] if isinstance(event, EffectDone)]
    assert done.count("create_contact") == 1
    assert of(TALK)["client made"].because == "the number is in nobody's card, and the settings ask for a client"
