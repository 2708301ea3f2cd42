"""What should be true of a call, as a person says it and as today's code fulfils it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.expectations import OPEN_CARD, BadExpectation, as_recorded, complaints, facts_of, read_expectation, run_again, unmet
from core.history_file import HistoryFile, stored_of
from tests.core.test_history_file import history
from tests.scenario import given, ms
from tests.settings import MS_CONFIG
from tests.world import ENTERPRISE


def expecting(**expect: Any) -> HistoryFile:
    return replace(history(), expect={name.replace("_", " "): value for name, value in expect.items()})


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("card 103: shown", ("card 103", "shown")),
        (" card 103 : shown, hidden ", ("card 103", ["shown", "hidden"])),
        ("outcome: missed", ("outcome", "missed")),
        ("client made: none", ("client made", None)),
        ("end: 1795437035000", ("end", 1_795_437_035_000)),
        ("comment: Пропущенный вызов (звонили: 101)", ("comment", "Пропущенный вызов (звонили: 101)")),
    ],
)
def test_what_a_person_writes(text: str, read: tuple[str, Any]) -> None:
    assert read_expectation(text) == read


@pytest.mark.parametrize("text", ["", "shown", "card 103:", ": shown", "end: noon"])
def test_what_cannot_be_understood(text: str) -> None:
    with pytest.raises(BadExpectation):
        read_expectation(text)


def test_all_that_was_so_is_so_again() -> None:
    found = history()
    expect = as_recorded(facts_of(found, found.events))
    assert expect["card 101"] == ["shown", "hidden"]
    assert complaints(replace(found, expect=expect)) == ()
    assert complaints(replace(found, expect={})) == ()


@pytest.mark.parametrize(
    ("about", "wanted", "says"),
    [
        ("outcome", "answered", "outcome: answered was expected, and it is missed"),
        ("card 101", ["shown", "timing", "hidden"], "card 101: shown, timing, hidden was expected, and it is shown, hidden"),
        ("card 101", "timing", "card 101: timing was expected, and it is shown, hidden"),
        ("card 101", None, "card 101: none was expected, and it is shown, hidden"),
        ("card 103", "shown", "card 103: shown was expected, and it is none"),
    ],
)
def test_what_is_not_as_expected_is_said(about: str, wanted: Any, says: str) -> None:
    assert complaints(replace(history(), expect={about: wanted})) == ((about, says),)


def test_one_thing_that_could_be_seen_of_a_card_is_enough() -> None:
    found = facts_of(history(), run_again(history()).events)
    assert unmet({"card 101": "shown", "card 102": "hidden", "parked": None}, found) == ()


def test_a_card_that_stays_is_complained_of_without_being_asked() -> None:
    """Today's code hides every card by itself, so that only a bug would show this one."""
    world = given("0 A start\n0.5 A dial 101\n").at(10).world
    live = HistoryFile(
        enterprise=ENTERPRISE, call="A", config=MS_CONFIG, stored=stored_of(world.streams["call/A"]), until_ms=ms(10)
    )
    assert OPEN_CARD not in dict(complaints(live)), "it goes on: the card is where it belongs"
    assert complaints(replace(live, until_ms=ms(10_000))) == (), "overdue: the card is hidden by itself"
