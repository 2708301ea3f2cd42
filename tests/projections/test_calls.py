"""A call's row in the index: what search and ``phone@time`` find it by, folded from its events alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.effects import CardAction, CardEvent, RegisterCall, UpdateCall
from core.events import CallSettled, Event
from projections import calls
from projections.folded import folded_on, unheard
from tests.scenario import NUMBER, done, events, failed, given, ms, refused, retry, started

UPSERT = (Path(calls.__file__).parent / "sql" / "calls_upsert.sql").read_text()
COLUMNS = tuple(re.findall(r"\w+", UPSERT.partition("(")[2].partition(")")[0]))

RING = "0 A start\n0.5 A dial 101 102\n"
TALK = RING + "5 A enter b1 customer\n5 A enter b1 101\n"
ANSWERED = TALK + "35 A leave b1 101\n35 A leave b1 customer\n35 A close b1\n35.4 A hangup 101 answered\n"
REGISTER = RegisterCall(
    external_id="0367-A",
    number=NUMBER,
    incoming=True,
    start_ms=ms(0),
    cards=(CardEvent(action=CardAction.SHOW, sequence=1, extension="101"),),
)


def row(history: Sequence[Event]) -> dict[str, object]:
    """The row by its columns."""
    return folded_on(unheard(("0367", "call/A")), history).row


def test_the_statement_writes_every_column() -> None:
    assert tuple(row(())) == COLUMNS


def test_an_answered_call_tells_who_when_and_how_long() -> None:
    found = row((*events(ANSWERED), CallSettled(at_ms=ms(36), reason="complete")))
    assert {name: found[name] for name in ("enterprise", "call", "version", "phase", "direction", "outcome")} == {
        "enterprise": "0367", "call": "A", "version": 9, "phase": "settled", "direction": "in", "outcome": "answered",
    }  # fmt: skip
    assert (found["number"], found["digits"]) == (NUMBER, NUMBER.removeprefix("+"))
    assert (found["extensions"], found["extension"]) == (("101", "102"), "101")
    assert found["started_ms"] == ms(0)
    assert (found["ended_ms"], found["talk_ms"]) == (ms(35), 30_000)


def test_a_call_that_goes_on_has_no_outcome_and_no_end() -> None:
    found = row(events(TALK))
    assert (found["phase"], found["outcome"], found["ended_ms"]) == ("talking", None, None)
    assert found["talk_ms"] == 0, "a talk counts when it is over"


def test_a_hidden_number_is_found_by_no_digits() -> None:
    found = row(events("0 A start number=anonymous\n0.5 A dial 101 number=anonymous\n"))
    assert (found["number"], found["digits"]) == ("anonymous", "")


@pytest.mark.parametrize(
    ("said", "number"),
    [("101", "101"), ("+101", "101"), ("anonymous", "")],
)
def test_a_colleague_is_not_anonymous(said: str, number: str) -> None:
    found = row(events(f"0 A dial 102 internal number={said}\n9 A hangup 102 internal answered number={said}"))
    assert (found["direction"], found["number"], found["digits"]) == ("internal", number, "")
    hangup = row(events(f"9 A hangup 102 internal answered number={said}"))
    assert (hangup["direction"], hangup["number"]) == ("internal", number), "nor where only the hangup was heard"


def test_who_picked_up_without_being_rung_is_found_as_well() -> None:
    found = row(events("0 A start\n0.5 A dial 101\n5 A enter b1 customer\n5 A enter b1 103\n"))
    assert (found["extensions"], found["extension"]) == (("101", "103"), "103")


def test_a_call_nobody_can_be_named_for_is_nobody_s_whatever_the_settings_say() -> None:
    scenario = given("0 A start\n9 A hangup - status=1\n").finished()
    assert row(scenario.world.streams["call/A"])["extension"] == ""


@pytest.mark.parametrize(
    ("outcomes", "failures", "parked", "cards"),
    [
        ((done(REGISTER, 1, call="m"),), 0, "", 1),
        ((failed(REGISTER, 1), failed(REGISTER, 2)), 2, "", 0),
        ((refused(REGISTER, 1, error="no such key", remedy="enter it again"),), 1, "", 0),
    ],
)
def test_what_moysklad_did_not_do_is_counted(outcomes: tuple[Event, ...], failures: int, parked: str, cards: int) -> None:
    found = row((*events(RING), started(REGISTER, 0.9), *outcomes))
    assert (found["failures"], found["parked"], found["open_cards"]) == (failures, parked, cards)


def test_a_refusal_of_the_least_that_can_be_asked_needs_a_person_and_says_what_to_do() -> None:
    bare = RegisterCall(external_id="0367-A", number=NUMBER, incoming=True, start_ms=ms(0))
    history = (*events(RING), started(bare, 1), refused(bare, 1.1, error="no such key", remedy="enter it again", code=1056))
    assert needed(row(history)) == ("no such key", "enter it again", ms(1.1), 1056)
    unsaid = row((*events(RING), refused(bare, 1.1, error="")))
    assert needed(unsaid) == ("refused", "", ms(1.1), None), "a reason that nobody gave is still a reason"


def test_what_is_asked_again_needs_nobody_until_it_is_refused_again() -> None:
    update = UpdateCall(external_id="0367-A", call="m", comment="c")
    parked = (*events(RING), done(REGISTER, 1, call="m"), refused(update, 2, error="no"))
    assert needed(row(parked)) == ("no", "", ms(2), None)
    assert needed(row((*parked, retry(3)))) == ("", "", None, None)
    assert needed(row((*parked, retry(3), refused(update, 4, error="still no", sent=False)))) == ("still no", "", ms(4), None)


def needed(found: dict[str, object]) -> tuple[object, ...]:
    """What the row says a person is needed for."""
    return tuple(found[name] for name in ("parked", "remedy", "parked_ms", "parked_code"))


def test_a_finished_call_keeps_moysklad_s_id_and_no_open_card() -> None:
    scenario = given(ANSWERED, contacts={NUMBER: "ann"}).finished()
    found = row(scenario.world.streams["call/A"])
    assert (found["moysklad_call"], found["open_cards"], found["parked"]) == (scenario.row.id, 0, "")
